//go:build !linux

package main

// dropFileRights has no wall to build on this system.
func dropFileRights(confinement) (walls, missing []string) {
	return nil, []string{"files, TCP and signals (Landlock is of Linux)"}
}

// dropCallRights has no wall to build on this system.
func dropCallRights() (walls, missing []string) {
	return nil, []string{"sockets and programs (seccomp is of Linux)"}
}
