package web

// codeText returns the text for a code of the API that people meet, or "". The texts for a status are in describe.
func codeText(code string) string {
	switch code {
	case "TAKEN":
		return "The name is taken, or is too much like one that is taken."
	case "IN_USE":
		return "Something else still needs it."
	case "LAST":
		return "It is the last one, and one must stay."
	case "LIMIT":
		return "There are as many as there may be. Remove one first."
	case "NO_SPACE":
		return "The storage is full. An operator must make room."
	case "NOT_RECORDED":
		return "The change was made, but no event and no audit record of it."
	case "NOT_COUNTED":
		return "Nothing was counted yet. The figures appear after the next count."
	case "NOT_RUNNING":
		return "The job does not run now."
	case "OTHER_STORAGE":
		return "The plan is for another storage."
	case "RETRYING":
		return "It is sent again already."
	case "BUSY":
		return "Much is being sent already. Try again in a moment."
	case "WRONG_PASSWORD":
		return "The password is wrong."
	case "WRONG_SETUP_TOKEN":
		return "This link was used, or a later one has replaced it."
	case "UNSUPPORTED":
		return "This registry does not do this."
	case "INVALID", "NAME_INVALID", "TAG_INVALID", "DIGEST_INVALID":
		return "A value is not valid."
	}
	return ""
}
