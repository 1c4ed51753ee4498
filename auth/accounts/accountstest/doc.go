// Package accountstest checks implementations of [accounts.Directory], and has a small one.
//
// A host that has its users in a database calls [TestDirectory] from a test, with a function that fills a database
// with the given facts. The test checks every answer that an [accounts.Authenticator] and an [accounts.Authorizer]
// rely on, and the decisions of an Authorizer over the Directory. It does not measure whether CheckPassword takes the
// same time for a user who does not exist, because a test of time fails on a busy machine: check that yourself.
//
// [Memory] is a Directory in memory, for tests and as an example.
package accountstest
