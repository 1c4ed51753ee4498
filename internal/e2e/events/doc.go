// Package events proves that a registry with an outbox loses no events. Its tests start real server
// processes, push through them, kill them, and count what a receiver that often fails has received.
//
// The tests are short by default. With the flag -full, they run as long as `make events` does.
package events
