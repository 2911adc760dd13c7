package analysis

import (
	"encoding/json"
	"regexp"
)

// withheld stands where something was taken out of a sentence.
const withheld = "(withheld)"

// A sentence may begin within quotes or brackets, and a path ends with them.
const (
	before = `(^|[\s"'(\[=,;:])`
	apart  = `\s:"')\],;`
)

// What a sentence may hold that tells who made the record, and what takes its
// place. The first two are sentences of earlier versions, in which a path
// may hold anything.
var local = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`^(Nothing is known of addresses: ).*( holds no tables\.)`), "${1}the data folder${2}"},
	{regexp.MustCompile(`^.*[/\\]([^/\\]*: (?:it carries no date|its date |the range ))`), "$1"},
	{regexp.MustCompile(`^(What was seen last could not be stored).*`), "$1."},
	// Addresses with a scheme, and where a record is kept.
	{regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9+.-]*://[^\s"']*`), withheld},
	{regexp.MustCompile(`\bchdb:[^\s"']+`), withheld},
	// Hosts, as the errors of Go's net package name them.
	{regexp.MustCompile(`\b(dial|listen|read|write|connect|accept) (tcp|udp|unix|unixgram|ip)([46]?) [^\s]+`), "$1 $2$3 " + withheld + ":"},
	{regexp.MustCompile(`\blookup [^\s:]+`), "lookup " + withheld},
	// Files keep their name, folders nothing.
	{regexp.MustCompile(before + `(?:~|[A-Za-z]:)?[^\s/\\:"'(\[=,;]*(?:/|\\)(?:[^/\\\n:"]*[/\\])*([^/\\:"\n]+\.(?:csv|tsv|mmdb|ya?ml|json|ndjson|txt|log|db|so|gz|parquet|html|png|svg)\b)`), "$1$2"},
	{regexp.MustCompile(before + `(?:(?:~|\.{1,2})?/|[A-Za-z]:\\)(?:[^\d` + apart + `/\\]|\d+[^` + apart + `/\\]*/)(?:[^\n:"]*[/\\])?[^` + apart + `/\\]*`), "$1" + withheld},
}

// anAddress is what looks like an address or identity within a sentence.
var anAddress = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d{1,5})?\b|\[?(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}\]?(?:[:/]\d{1,5})?|\b(?:12D3Koo|16Uiu2|Qm)[1-9A-HJ-NP-Za-km-z]{20,}|\b[0-9a-fA-F]{40}\b`)

// Public takes out of a sentence of the record what tells who the observer is,
// or who a peer is: folders, of which the name of a file stays, addresses of
// hosts, and identities. The record of an earlier version may hold them in notes.
func Public(sentence string) string {
	for _, l := range local {
		sentence = l.what.ReplaceAllString(sentence, l.by)
	}
	return anAddress.ReplaceAllStringFunc(sentence, func(found string) string {
		if clock.MatchString(found) { // no address, though it looks like one
			return found
		}
		return withheld
	})
}

// clock is a time of day.
var clock = regexp.MustCompile(`^\d{1,2}:\d{2}:\d{2}$`)

// PublicSettings keeps of the settings of a crawl, in JSON, the description of
// the network and, of everything else, numbers and switches: strings may be
// addresses and names.
func PublicSettings(settings string) string {
	var all map[string]any
	if json.Unmarshal([]byte(settings), &all) != nil {
		return "{}"
	}
	network := all["network"]
	kept, _ := withoutStrings(all).(map[string]any)
	if network != nil {
		kept["network"] = network
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return "{}"
	}
	return string(text)
}

func withoutStrings(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, value := range v {
			if value = withoutStrings(value); value != nil {
				kept[name] = value
			}
		}
		return kept
	case float64, bool:
		return v
	}
	return nil
}
