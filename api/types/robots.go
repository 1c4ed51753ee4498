package types

import "time"

// Robot is an account for a program in a namespace.
type Robot struct {
	// ID never changes. A robot that is created under the name of a removed one has another ID.
	ID string `json:"id"`
	// Name is the name with which the robot logs in: that of the namespace, "+", and that within the namespace.
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Disabled is set while the robot is disabled.
	Disabled *Mark `json:"disabled,omitempty"`
	// Grants are the permissions of the robot in the repositories of the namespace.
	Grants []Grant `json:"grants"`
}

// RobotList is a page of robots.
type RobotList struct {
	Items []Robot `json:"items"`
}

// NewRobot is a robot to be created.
type NewRobot struct {
	// Name is the name within the namespace, such as "deploy".
	Name   string  `json:"name"`
	Grants []Grant `json:"grants,omitempty"`
}

// RobotChange is a change of a robot. Fields that are nil stay as they are.
type RobotChange struct {
	Grants *[]Grant `json:"grants,omitempty"`
}
