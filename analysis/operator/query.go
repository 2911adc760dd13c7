package operator

import (
	"database/sql"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"canopy/analysis"

	"go4.org/netipx"
)

// usualPortsSQL lists the ports that programs use by themselves: those of one
// visit in 200 or more, and of 5 blocks at least. Its %s says of which crawls.
const usualPortsSQL = `
    SELECT arrayMap(p -> p.1, arrayFilter(p -> p.3 >= 5 AND p.2 * 200 >= sum(n), groupArray((port, n, blocks))))
    FROM (
        SELECT port, count() AS n, uniqUpTo(5)(IPv6CIDRToRange(address, 120).1) AS blocks
        FROM visits WHERE network = @network AND outcome = 'answered' AND %s GROUP BY port
    )`

// word is how many crawls one word of a bit set holds.
const word = 64

var keySQL = analysis.VisitKey("@crawls")

// answeredSQL reads the visits that peers answered.
const answeredSQL = `FROM visits WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))`

// respelledSQL finds IDs that are not written as the record writes them today:
// those of libp2p as a CID, those of Mainline with capital letters.
const respelledSQL = `length(peer_id) > 45 AND substring(peer_id, 1, 1) IN ('b', 'B', 'k', 'K', 'z', 'f', 'F') OR length(peer_id) = 40 AND peer_id != lower(peer_id)`

// traitsSQL reads each peer once: in which crawls it answered, and what it
// showed when it answered last, with its /24 (or /56) hashed, 0 if it has no address, its port unless
// it is a usual one, its ID and protocol if the registry may know them, and the
// prefix of the registry that it is in. Of each peer the bit sets and the key of its
// last visit are found, which are small, and what that visit shows is joined to
// them. The first %s says which crawls have a say in what
// ports are usual, the second names the bit sets, the third makes them.
var traitsSQL = `
WITH (` + usualPortsSQL + `) AS usual
SELECT [%[2]s], agent, asn, organisation, country, hosting,
       if(address = toIPv6('::'), 0, sipHash64(IPv6CIDRToRange(address, if(address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), 120, 56)).1)),
       if(has(usual, port), 0, port), if(peer_id IN (SELECT arrayJoin(@ids)) OR ` + respelledSQL + `, peer_id, ''),
       arrayFirstIndex((a, b) -> address BETWEEN a AND b, arrayMap(a -> toIPv6(a), @from), arrayMap(b -> toIPv6(b), @to)),
       arrayFirst(p -> match(p, @protocols), protocols), sipHash64(peer_id)
FROM (SELECT agent, asn, organisation, country, hosting, address, port, peer_id, protocols, ` + keySQL + ` AS key ` + answeredSQL + `) AS answered
INNER JOIN (
    SELECT %[3]s, ` + analysis.LastKey("toUnixTimestamp64Milli(visited_at)", "key") + ` AS last
    FROM (SELECT peer_id, visited_at, ` + keySQL + ` AS key, bitShiftRight(key, 32) - 1 AS crawl, bitShiftLeft(toUInt64(1), toUInt8(crawl %% 64)) AS bit ` + answeredSQL + `)
    GROUP BY sipHash128(peer_id)
) AS peers ON answered.key = peers.last`

// traitsQuery fills traitsSQL with what the registry asks of a peer. Each list
// begins with a value that no peer has, because an empty list has no type.
func (r *Rules) traitsQuery(network string, crawls []string) (string, []any) {
	ids, protocols, from, to := []string{""}, []string{}, []string{"::"}, []string{"::"}
	for _, e := range r.registry {
		ids = append(ids, e.Signals.PeerIDs...)
		protocols = append(append(protocols, e.Signals.versionSigns()...), e.Signals.Protocols...)
	}
	for _, p := range r.blocks() {
		block := netipx.RangeOfPrefix(p)
		from, to = append(from, mapped(block.From())), append(to, mapped(block.To()))
	}
	var sets, made []string
	for w := range (len(crawls) + word - 1) / word {
		sets = append(sets, fmt.Sprintf("up%d", w))
		made = append(made, fmt.Sprintf("groupBitOrIf(bit, intDiv(crawl, %[1]d) = %[2]d) AS up%[2]d", word, w))
	}
	return fmt.Sprintf(traitsSQL, "crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))", strings.Join(sets, ", "), strings.Join(made, ", ")), []any{
		sql.Named("network", network), sql.Named("crawls", crawls), sql.Named("ids", ids), sql.Named("from", from), sql.Named("to", to),
		sql.Named("protocols", regex(protocols)),
	}
}

// regex is the RE2 expression that fits what any of the patterns fits; without
// patterns it fits the empty string alone.
func regex(patterns []string) string {
	var quoted []string
	for _, p := range patterns {
		quoted = append(quoted, strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*"))
	}
	return "(?is)^(" + strings.Join(quoted, "|") + ")$"
}

// blocks lists every prefix of the registry.
func (r *Rules) blocks() (out []netip.Prefix) {
	for _, e := range r.registry {
		out = append(out, e.Signals.Prefixes...)
	}
	return out
}

// mapped writes an address as the record keeps it.
func mapped(a netip.Addr) string { return netip.AddrFrom16(a.As16()).String() }
