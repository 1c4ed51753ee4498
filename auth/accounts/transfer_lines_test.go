package accounts_test

import "strings"

const created = `"created":"2026-01-01T00:00:00Z"`

// line returns a line of an import.
func line(kind, of, fact string) string {
	return `{"type":"` + kind + `","of":"` + of + `","fact":{` + fact + `}}`
}

// refusedLines returns lines that Import refuses, with what the error says. There is a user newaaaaaaaaaaaaa.
func refusedLines() map[string]string {
	const user, nobody = "newaaaaaaaaaaaaa", "zzzzzzzzzzzzzzzz"
	const argon = `"set":"2026-01-01T00:00:00Z",` +
		`"hash":"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$MDEyMzQ1Njc4OWFiY2RlZg"`
	long := strings.Repeat("a", 1<<20)
	hash := `"hash":"` + strings.Repeat("0", 64) + `",` + created
	refused := map[string]string{
		`x`:                                      "must be a JSON object",
		`[]`:                                     "must be a JSON object",
		`null`:                                   "must be a JSON object",
		`{`:                                      "unexpected EOF",
		`{} {}`:                                  "something after",
		`{"type":"account"}`:                     "must be a JSON object",
		`{"type":"x"}`:                           `type "x" is unknown`,
		`{"type":"` + long[:999] + `"}`:          "is unknown",
		`{"typo":"account"}`:                     "unknown field",
		`{"type":"account","fact":` + long + `}`: "longer than",
		`{"type":"account","fact":{}}`:           "the ID is malformed",

		line("password", nobody, argon):                                           "unknown",
		line("password", "../", argon):                                            "no ID",
		line("password", user, `"hash":"secret"`):                                 "argon2id",
		line("password", user, strings.Replace(argon, "m=19456", "m=4194304", 1)): "argon2id",

		line("secret", "", `"id":"../","owner":"newaaaaaaaaaaaaa","name":"x",`+hash):                       "ID",
		line("secret", "", `"id":"aaaaaaaaaa","owner":"newaaaaaaaaaaaaa","name":"x","hash":"00",`+created): "SHA-256",
		line("secret", "", `"id":"aaaaaaaaaa","owner":"newaaaaaaaaaaaaa","name":"x","scopes":[],`+hash):    "permit nothing",
		line("secret", "", `"id":"aaaaaaaaaa","owner":"newaaaaaaaaaaaaa",`+hash):                           "name",
		line("secret", "", `"id":"aaaaaaaaaa","owner":"zzzzzzzzzzzzzzzz","name":"x",`+hash):                "unknown",
		line("uses", user, `"used":{"../":"2026-01-01T00:00:00Z"}`):                                        "ID of a secret",

		line("team", user, `"id":"teamaaaaaaaaaaaa","name":"dev",`+created):                "is a user",
		line("team", user, `"id":"teamaaaaaaaaaaaa","name":"owners",`+created):             "a team needs",
		line("member", user, `"user":"newaaaaaaaaaaaaa","since":"2026-01-01T00:00:00Z"`):   "is a user",
		line("member", user, `"user":"newaaaaaaaaaaaaa","teams":[{"name":"../","id":""}]`): "needs name and id",
		line("repository", "", `"name":"../x"`):                                            "malformed",
		line("repository", "", `"name":"a/b","visibility":"open"`):                         "visibility",
		line("admin", "", `"id":"zzzzzzzzzzzzzzzz"`):                                       "unknown",
		line("admin", "", `"id":"../"`):                                                    "no ID",
		line("name", "", `"name":"free","id":"zzzzzzzzzzzzzzzz"`):                          "a name needs",
		line("export", "", `"version":1`):                                                  "another export begins",
		line("end", "", `"lines":7`):                                                       "has 7 lines",
		line("end", "", `"lines":3`) + "\n" + line("admin", "", `"id":"newaaaaaaaaaaaaa"`): "after that of type",
	}
	for fact, want := range map[string]string{
		`"kind":"user","name":"Eve"`:                                                               "a name breaks",
		`"kind":"user","name":"e/../ve"`:                                                           "a name breaks",
		`"kind":"user","name":"acme+eve"`:                                                          "a name breaks",
		`"kind":"user","name":"eve","former":["E"]`:                                                "a name breaks",
		`"kind":"user","name":"eve","former":["aa","bb","cc","dd","ee","ff"]`:                      "former names",
		`"kind":"god","name":"eve"`:                                                                `kind "god"`,
		`"kind":"user","name":"eve","admin":true`:                                                  "unknown field",
		`"kind":"user","name":"eve","visibility":"open"`:                                           "visibility",
		`"kind":"user","name":"eve","fullName":"\u0007"`:                                           "printable",
		`"kind":"user","name":"eve","owners":["newaaaaaaaaaaaaa"]`:                                 "owners",
		`"kind":"user","name":"eve","grants":[{"repositories":"**","role":"read"}]`:                "grants",
		`"kind":"organisation","name":"eve"`:                                                       "owners",
		`"kind":"organisation","name":"eve","owners":["zzzzzzzzzzzzzzzz"]`:                         "unknown",
		`"kind":"robot","name":"new+eve"`:                                                          "namespace",
		`"kind":"robot","name":"new+eve","namespace":"zzzzzzzzzzzzzzzz"`:                           "unknown",
		`"kind":"robot","name":"new+eve","namespace":"newaaaaaaaaaaaaa","grants":[{"role":"god"}]`: "role",
	} {
		refused[line("account", "", `"id":"neweaaaaaaaaaaaa",`+created+`,`+fact)] = want
	}
	refused[line("account", "", `"id":"../aaaaaaaaaaaaa","kind":"user","name":"eve",`+created)] = "the ID is malformed"
	refused[line("account", "", `"id":"neweaaaaaaaaaaaa","kind":"user","name":"eve"`)] = "created"
	return refused
}
