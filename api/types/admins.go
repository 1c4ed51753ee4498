package types

// Admin is an admin of the registry.
type Admin struct {
	// ID and Name are those of a user.
	ID   string `json:"id"`
	Name string `json:"name"`
}

// AdminList is the list of all admins.
type AdminList struct {
	Items []Admin `json:"items"`
}
