package dataset

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"canopy/crawler/observation"
)

// attack hashes every IPv4 address of some /16 in all ways that somebody
// without the key would try, and returns how many pseudonyms it can name. A
// guess is known by 128 bits, wherever they lie in a longer hash.
func attack(published map[[pseudonymBytes]byte]bool, blocks []netip.Prefix, more ...func([]byte) []byte) (found int) {
	tries := []func([]byte) []byte{
		func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
		func(b []byte) []byte { s := sha1.Sum(b); return s[:] },
		func(b []byte) []byte { s := md5.Sum(b); return s[:] },
	}
	for _, key := range []string{"", "canopy", "key", "secret", "salt", "password", strings.Repeat("\x00", keyBytes)} {
		tries = append(tries, keyed([]byte(key)))
	}
	tries = append(tries, more...)
	seen := map[[pseudonymBytes]byte]bool{}
	var text []byte
	for _, block := range blocks {
		first := block.Addr().As4()
		base := binary.BigEndian.Uint32(first[:])
		for low := range uint32(1) << 16 {
			var raw [4]byte
			binary.BigEndian.PutUint32(raw[:], base|low)
			addr := netip.AddrFrom4(raw)
			for _, what := range []string{"", ofAddress} {
				text = addr.AppendTo(append(text[:0], what...))
				for _, try := range tries {
					guess := [pseudonymBytes]byte(try(text)[:pseudonymBytes])
					if published[guess] {
						seen[guess] = true
					}
				}
			}
		}
	}
	return len(seen)
}

func keyed(key []byte) func([]byte) []byte {
	mac := hmac.New(sha256.New, key)
	var sum []byte
	return func(b []byte) []byte { return again(mac, b, &sum) }
}

func again(mac hash.Hash, b []byte, sum *[]byte) []byte {
	mac.Reset()
	mac.Write(b)
	*sum = mac.Sum((*sum)[:0])
	return *sum
}

var (
	pseudonym  = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	wholeBlock = regexp.MustCompile(`\b\d+\.\d+\.0\.0/16\b`)
)

// TestReidentify plays the one who has the dataset and not the key: every
// address of every block that is in it is hashed, and no pseudonym is found.
// With the key all are, so the attack can succeed.
func TestReidentify(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 2, 4000)
	key := NewKey()
	dir := filepath.Join(t.TempDir(), "dataset")
	_, err := Export(t.Context(), readFrom(s), dir, Options{Format: CSV, Key: key})
	must(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "visits.csv"))
	must(t, err)
	column := 4 // address
	published, blocks := map[[pseudonymBytes]byte]bool{}, map[netip.Prefix]bool{}
	for _, line := range strings.Split(string(text), "\n")[1:] {
		if fields := strings.Split(line, ","); len(fields) > column && pseudonym.MatchString(fields[column]) {
			raw, _ := hex.DecodeString(fields[column])
			published[[pseudonymBytes]byte(raw)] = true
		}
		for _, b := range wholeBlock.FindAllString(line, -1) {
			blocks[netip.MustParsePrefix(b)] = true
		}
	}
	addresses := count(t, s, "SELECT uniqExact(address) FROM visits")
	if len(published) != addresses || len(blocks) == 0 {
		t.Fatalf("%d pseudonyms of %d addresses and %d blocks are in the dataset", len(published), addresses, len(blocks))
	}
	var list []netip.Prefix
	for b := range blocks {
		list = append(list, b)
	}
	list = list[:min(len(list), 6)]
	if found := attack(published, list); found > 0 {
		t.Errorf("%d addresses are found without the key", found)
	}
	inside := map[netip.Addr]bool{}
	rows, err := s.DB().QueryContext(t.Context(), "SELECT DISTINCT toString(address) FROM visits")
	must(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		for _, b := range list {
			if a := netip.MustParseAddr(text).Unmap(); b.Contains(a) {
				inside[a] = true
			}
		}
	}
	must(t, rows.Err())
	if found := attack(published, list, keyed(key.secret[:])); found != len(inside) || found == 0 {
		t.Errorf("with the key %d of %d addresses are found: the attack could not have succeeded", found, len(inside))
	}
}

// TestPlacesTellNothing joins visits over the pseudonyms of where they were made:
// six peers in two ASes are too few for each AS to be named, and stand in blocks
// with many whose AS is named. Others in these blocks call their programs like
// nobody else.
func TestPlacesTellNothing(t *testing.T) {
	s := openStore(t)
	id := observation.NewCrawlID(day)
	_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome, agent, asn, organisation, country, hosting, prefix)
SELECT 'alpha', toUUID('%s'), number, toDateTime64(%d, 3), lower(hex(SHA1(toString(number)))), toIPv6(concat('45.', toString(b), '.', toString(intDiv(number, 100)), '.', toString(number %% 250 + 1))), 6881,
       'answered', if(number %% 50 = 7, toString(number), 'libtorrent 2.0'), 64000 + b, concat('Organisation ', toString(b)), 'DE',
       if(number IN (0, 1, 2, 3, 4, 5), 'hosting', 'residential'), concat('45.', toString(b), '.0.0/16')
FROM (SELECT number, number %% 2 AS b FROM numbers(1200))`, id, day.Unix()))
	must(t, err)
	_, err = s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO crawls_log (network, crawl_id, vantage, scope, started_at, ended_at, state, discovered, reachable, settings) SELECT 'alpha', toUUID('%s'), 'here', 'global', toDateTime64(%d, 3), toDateTime64(%d, 3), 'complete', 1200, 1200, %s`,
		id, day.Unix(), day.Unix()+60, literal(settings)))
	must(t, err)
	dir, sum, loaded, _ := published(t, s, Options{})
	if sum.Suppressed["asn"] != 6 || sum.Suppressed["agent"]+sum.Suppressed["client"] == 0 {
		t.Fatalf("the plan is no test of joins: %v is withheld", sum.Suppressed)
	}
	source, err := visitsForm.source(dir, Parquet)
	must(t, err)
	for _, by := range []string{"address", "block", "announced"} {
		for _, field := range []string{"asn != 0", "organisation != ''", "prefix != ''"} {
			told := count(t, loaded, fmt.Sprintf("SELECT count() FROM (SELECT %s, uniqExact(%s) AS n FROM %s GROUP BY 1) WHERE n > 1", by, field, source))
			if told > 0 {
				t.Errorf("%d times %s tells of a peer %s, which is withheld", told, by, field)
			}
		}
	}
	if n := count(t, loaded, "SELECT countIf(asn != 0) FROM "+source); n != 1194 {
		t.Errorf("%d of 1194 visits name the AS", n)
	}
}

// TestNothingIsInTheClear looks for what must not be there in any file.
func TestNothingIsInTheClear(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 2, 2000)
	dir := filepath.Join(t.TempDir(), "dataset")
	_, err := Export(t.Context(), readFrom(s), dir, Options{Format: CSV})
	must(t, err)
	var all strings.Builder
	for _, name := range names(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		all.Write(text)
	}
	secrets := []string{"198.51.100.77", "203.0.113.9"} // of settings and notes
	rows, err := s.DB().QueryContext(t.Context(), "SELECT DISTINCT peer_id, substring(toString(address), 8) FROM visits")
	must(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	for rows.Next() {
		var peer, address string
		must(t, rows.Scan(&peer, &address))
		secrets = append(secrets, peer, address)
	}
	must(t, rows.Err())
	if len(secrets) < 2000 {
		t.Fatalf("only %d secrets to look for", len(secrets))
	}
	for _, secret := range secrets {
		if strings.Contains(all.String(), secret) {
			t.Fatalf("%s is in the dataset", secret)
		}
	}
}
