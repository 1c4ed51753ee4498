// Package htpasswd authenticates the users of a password file, in the format of Apache's
// "htpasswd -B": a line NAME:HASH for each user, with bcrypt hashes only.
//
//	htpasswd -cBC 10 users ann
//
// [New] reads the file. The [File] that it returns is an [auth.Authenticator].
//
// # When changes take effect
//
// The file can be changed at any time. It is checked at most once a second, when a request needs
// it. If the new file is malformed or missing, the previous users stay valid and [Options].Error is
// called. Write the new file under another name and rename it; otherwise half of it may be read.
//
// # What a login costs
//
// Each password is checked by bcrypt once. Afterwards, the same credentials from the same address
// cost microseconds, until the line of the user changes or is removed. A [File] remembers an
// HMAC-SHA256 of address, name and password, under a random key of this process, with the line, and
// not the password.
//
// Unknown names, and lines with a low bcrypt cost, take as long as the highest cost in the file, so
// that the time does not reveal which names exist. [Options].Parallel limits how many bcrypt checks
// run at a time. If the same credentials arrive several times at once from one address, as with the
// connections of one push, they are checked once.
//
// # Guessing passwords
//
// Failed logins are limited by address, and by name and address; see [Options].AddressFailures and
// [Options].Failures. Each attempt counts as a failure before its outcome is known, so that many
// attempts at once do not pass together. Beyond the limit, a login gets 429 without a check of the
// password, and one attempt is let through from time to time.
//
// Credentials that were right before from the same address are always accepted there and never
// counted, so nobody can lock users out of their usual place. From another address, they count as
// any guess. Otherwise that address could find out without a limit which of its guesses is right. A
// caller at the same address as the user can find that out.
//
// What this does not prevent: an attacker with many addresses can try one name from all of them.
// Such an attack keeps all bcrypt checks busy; new logins then wait and may get 429, while
// remembered ones do not notice. Behind a proxy that is not listed in [Options].TrustedProxies, all
// callers have the address of the proxy.
package htpasswd
