package accounts_test

import "testing"

// TestSecurity has a row for each class of security bug of other registries that concerns accounts. The authorisation
// matrix is accounts_matrix_test.go of package registry; packages token, bearer and oidc have tables of hostile tokens.
func TestSecurity(t *testing.T) {
	for _, row := range []struct {
		class string
		test  func(t *testing.T)
	}{
		{"a first admin with a well-known password, or a second one", TestOneAdminBySetUp},
		{"a setup token that works again", TestTokenOfALateReplica},
		{"a registry or organisation without an admin", TestTheLastAdminStays},
		{"an organisation without an owner", TestTheLastOwnerStays},
		{"a secret that outlives its owner or its disabling", TestDisabledAtOnce},
		{"a revoked secret that works on another replica", TestRevokedElsewhere},
		{"rotating that enables again", TestRotateDisabled},
		{"secrets in logs, audits or lists", TestSecretNotPrinted},
		{"names that look like others", TestSkeleton},
		{"reserved names", TestReservedNames},
		{"a freed name that gives a namespace to others", TestQuarantine},
		{"repositories that come with a name", TestInUse},
		{"two accounts with one name", TestManyWantOneName},
		{"members that come back with the name of a team", TestATeamThatIsMadeAgainHasNoMembers},
		{"rights that outlive a removal", TestWhatIsRemovedGivesNothing},
		{"groups of an earlier login", TestRefineSeesTheAccountAsItIsNow},
		{"claims of strangers that make an account", TestClaimsThatAreNone},
		{"an identity of another source taken for an account", TestFederate},
		{"names that can be told from refusals", TestRefusals},
		{"names that can be told from the work for them", TestSameRequestsForUnknownNames},
		{"a password that can be guessed, an owner who is locked out", TestGuessesLimited},
		{"rules that fail open", TestRefineFailsClosed},
		{"a storage that fails open", TestDirectoryThatFails},
		{"a memory that invented names fill", TestCacheIsBounded},
	} {
		t.Run(row.class, row.test)
	}
}
