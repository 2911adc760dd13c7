package analysis

import (
	"regexp"
	"slices"
	"strings"
)

// TrimAgent is an agent without the spaces and slashes that some programs write
// around it: old versions of IPFS called themselves "/go-ipfs/0.4.18/".
func TrimAgent(agent string) string { return strings.Trim(agent, " \t\r\n/") }

// Forms of what follows the name of a program in its agent.
var (
	// partForm is a part behind a slash that is a version, 0.43.0, v21.11.0+62-g501ffa7 or
	// 2, or a commit.
	partForm = regexp.MustCompile(`^([vV]?[0-9]+([.+_ ~(-]|$)|[0-9a-f]{7,40}(-|$))`)
	// tailForm is a version behind another sign: 2.0.11, r14734, v1.23.0-rc1.
	tailForm = regexp.MustCompile(`^[vVr]?[0-9]+(\.[0-9]|$)`)
	// dottedForm and majorForm are what no other part of the path of a Go module is:
	// 1.2.3, and v2 at its end.
	dottedForm = regexp.MustCompile(`^[vV]?[0-9]+\.[0-9]`)
	majorForm  = regexp.MustCompile(`^v[0-9]+$`)
	// hostForm is the first part of the path of a Go module, the name of a host.
	hostForm = regexp.MustCompile(`^([A-Za-z0-9-]+\.)+[A-Za-z]{2,}$`)
)

// Client is the name of the program that an agent announces, without its version
// and what follows that. It is empty where the agent says nothing. One
// program has one name, whatever version of it runs:
//
//   - kubo/0.43.0/2896aed, go-ipfs/0.4.18/ and /go-ipfs/0.4.18/: what precedes
//     the version, a commit or an empty part between slashes.
//   - github.com/libp2p/go-libp2p, github.com/some/program@v1.2.3 and
//     github.com/some/program/v2@4f2a-dirty, which go-libp2p makes of the path of the
//     main module: that path, without its major version.
//   - libtorrent 2.0.11, lotus-1.23.0+mainnet, openbazaar-go:0.14.6: what precedes
//     the version behind a space, a dash, a low line, a colon or an @.
//   - anacrolix/torrent, storm: all of it, if it names no version.
func Client(agent string) string {
	parts := strings.Split(TrimAgent(agent), "/")
	isVersion := func(i int) bool { return partForm.MatchString(parts[i]) }
	if len(parts) > 1 && hostForm.MatchString(parts[0]) {
		path, _, _ := strings.Cut(TrimAgent(agent), "@")
		parts = strings.Split(path, "/")
		isVersion = func(i int) bool { return dottedForm.MatchString(parts[i]) || i > 1 && majorForm.MatchString(parts[i]) }
	}
	for i := 1; i < len(parts); i++ {
		if parts[i] = strings.TrimSpace(parts[i]); parts[i] == "" || isVersion(i) {
			parts = slices.Clip(parts[:i])
		}
	}
	return TrimAgent(unversioned(strings.Join(parts, "/")))
}

// unversioned cuts off a version that follows without a slash. A number without
// a dot is one only behind a space, and at the end.
func unversioned(name string) string {
	for i, sign := range name {
		if i == 0 || !strings.ContainsRune(" -_:@", sign) {
			continue
		}
		if rest := name[i+1:]; tailForm.MatchString(rest) && (sign == ' ' || dottedForm.MatchString(rest)) {
			return name[:i]
		}
	}
	return name
}
