// Package htpasswd authenticates the users of a password file, as Apache's htpasswd -B writes it: a
// line NAME:HASH for each, of bcrypt only.
//
//	htpasswd -cBC 10 users ann
//
// The file may be changed at any time; it is looked at once a second. While it is broken or
// missing, the users are those of before, and Options.Error is told why. Write it to another name
// and rename it, or a half of it may be read.
//
// # What a login costs
//
// A password is checked by bcrypt once. From then on the same credentials cost microseconds from
// the same address, until the line of the user changes or goes: what is remembered is an
// HMAC-SHA256 of address, name, password and line, under a key of this process. Names that are not
// in the file, and lines of a low cost, cost as much as the highest cost in the file, so that the
// time does not tell who exists. As many bcrypts run at a time as Options.Parallel says; the same
// credentials that come many times at once from one address, as the connections of a push do, are
// one.
//
// # Guessing
//
// Failures are counted by address, and by name and address, before the outcome is known: see
// Options.Failures and Options.AddressFailures. Beyond these, attempts are answered with 429 and
// not looked at, and one is let through from time to time. Credentials that were right before from
// the same address are not counted and always accepted there, so that nobody can be locked out from
// where they work. Elsewhere they are as good as any guess: what was right from another address
// would else tell right guesses from wrong ones without a limit. Who shares the address of a user
// can find that out. A name can be tried from many addresses. Such an attack keeps all turns of
// bcrypt busy, and then new logins wait and may be answered with 429. Behind a proxy that is not
// among Options.TrustedProxies all callers have one address.
package htpasswd
