package analysis

//lint:file-ignore fixedpath the paths in these texts are to be found and removed: nothing opens them

import (
	"strings"
	"testing"
)

func TestPublicSentences(t *testing.T) {
	for in, want := range map[string]string{
		// Sentences of earlier versions.
		"/home/alice/data/mine.csv: it carries no date; the time of the file, 2026-10-01, is taken for it.":        "mine.csv: it carries no date; the time of the file, 2026-10-01, is taken for it.",
		"/home/alice smith/a:b/mine: it carries no date; the time of the file, 2026-10-01, is taken for it.":       "mine: it carries no date; the time of the file, 2026-10-01, is taken for it.",
		"alice/data/mine.csv: its date 2027-01-02 lies in the future.":                                             "mine.csv: its date 2027-01-02 lies in the future.",
		"../alice/mine.mmdb: the range 0.0.0.0-255.255.255.255 claims every address of its family.":                "mine.mmdb: the range (withheld)-(withheld) claims every address of its family.",
		"Nothing is known of addresses: /home/alice smith/x holds no tables. Run make data, or point CANOPY_DATA.": "Nothing is known of addresses: the data folder holds no tables. Run make data, or point CANOPY_DATA.",
		"What was seen last could not be stored: write /home/alice/x y/spool: no space left on device":             "What was seen last could not be stored.",
		// What errors hold.
		"Cut short (walk mainline: listen udp 192.168.7.5:6881: bind: permission denied): 5 known peers were not visited, 6 silent peers were not asked a second time.": "Cut short (walk mainline: listen udp (withheld): bind: permission denied): 5 known peers were not visited, 6 silent peers were not asked a second time.",
		"dial tcp: lookup db.alice.lan on 192.168.7.1:53: no such host":                                      "dial tcp: lookup (withheld) on (withheld): no such host",
		"tcp: dial tcp4 alice.lan:4001->peer: i/o timeout":                                                   "tcp: dial tcp4 (withheld): i/o timeout",
		"store: clickhouse://alice:secret@db.lan:9000/canopy is away":                                        "store: (withheld) is away",
		"store chdb:/home/alice/record is away":                                                              "store (withheld) is away",
		`open "/home/alice/canopy.yaml": permission denied`:                                                  `open "canopy.yaml": permission denied`,
		"open /home/alice smith/folder/file: permission denied":                                              "open (withheld): permission denied",
		"open ~/alice: permission denied":                                                                    "open (withheld): permission denied",
		`open C:\Users\alice\mine.csv: denied`:                                                               "open mine.csv: denied",
		`open C:\Users\alice: denied`:                                                                        "open (withheld): denied",
		"(in /tmp/alice-123/x)":                                                                              "(in (withheld))",
		"peer 12D3KooWLmuM1iCsqAC14QNYrKwD9hZcsQwSisNRi7jBRCUQAaBb at [2001:db8::1]:4001 and 192.0.2.1:4001": "peer (withheld) at (withheld) and (withheld)",
		// What tells nobody's name stays.
		"Walked zone 12/0a3 only. Marked beforehand: 5 of 6 planted nodes.":                                                     "",
		"1 replies, 0.1 %, came after their query was given up; 64 per /24 (/56 in IPv6) and/or none.":                          "",
		"The crawl began at 12:30:45 with kubo/0.29 at 2026-10-01T06:00:00Z.":                                                   "",
		"GeoLite2-Country.mmdb: 3 of 9 networks without AS (not usable: \"asn: x\" (1)); this file has keys asn, country.names": "",
		"": "",
	} {
		if want == "" {
			want = in
		}
		got := Public(in)
		if got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
		if again := Public(got); again != got {
			t.Errorf("%q becomes %q when it is made public again", got, again)
		}
	}
}

// FuzzPublic puts a folder with a name into a sentence at any place.
func FuzzPublic(f *testing.F) {
	for _, s := range []string{"open ", "x: ", "\"", "(", "a/b ", "C:", "//", "mine.csv ", "\\"} {
		f.Add(s, ": denied")
	}
	f.Fuzz(func(t *testing.T, head, tail string) {
		if strings.Contains(head+tail, "arker") {
			return
		}
		for _, path := range []string{"/home/Marker/data/mine.csv", "/home/Marker/data"} {
			for _, apart := range []string{" ", "\"", "("} {
				if got := Public(head + apart + path + tail); strings.Contains(got, "Marker") {
					t.Errorf("%q tells the folder: %q", head+apart+path+tail, got)
				}
			}
		}
	})
}
