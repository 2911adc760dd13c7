package paths

import "testing"

func TestPaths(t *testing.T) {
	_ = []string{
		"/tmp/x",                             // want `fixed path "/tmp/"`
		"SELECT 1 INTO OUTFILE '/tmp/x'",     // want `fixed path "'/tmp/" in a test`
		"file:///var/lib/canopy",             // want `fixed path`
		"cp x /home/alice/y",                 // want `fixed path`
		`root:/root`,                         // want `fixed path`
		"DESCRIBE TABLE file('/etc/passwd')", // want `fixed path`
		"=/dev/shm/x",                        // want `fixed path`
		"https://example.org/var/x",
		"/x/kad/1.0.0",
		"docs/etc/a",
		"/dev/null",
		"/temporary",
		t.TempDir() + "/home",
		"../tmp/x",
	}
}
