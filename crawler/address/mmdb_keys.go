package address

import (
	"fmt"
	"slices"
	"strings"

	"canopy/crawler/observation"
)

// fact is what a record of a MaxMind DB file may say of a network.
type fact int

// The facts that are read.
const (
	factAS fact = iota
	factOrganisation
	factCountry
	facts // how many there are
)

func (f fact) String() string {
	return [facts]string{"AS", "organisation", "country"}[f]
}

// mmdbKeys says under which keys publishers keep a fact; of several that hold
// one, the first counts. A dot leads into a map. The schemas are those of
// MaxMind (ASN, ISP, Country, City, Enterprise), DB-IP, IPinfo, IPLocate,
// IP2Location, ipdata, ipgeolocation, ipregistry and ip-location-db.
var mmdbKeys = [facts][]string{
	factAS: {
		"autonomous_system_number", "traits.autonomous_system_number",
		"asn", "asn.asn", "asn.number", "asn.as_number", "as_number", "as", "as.number", "as.asn", "connection.asn",
	},
	factOrganisation: {
		"autonomous_system_organization", "traits.autonomous_system_organization",
		"as_name", "as_organization", "as_org", "asn.name", "asn.as_name", "asn.organization", "asn.org",
		"as", "as.name", "as.organization", "as.org", "connection.organization", "connection.org",
		"organization", "organisation", "org", "traits.organization", "isp", "traits.isp", "connection.isp", "name",
	},
	factCountry: {
		"country.iso_code", "country_code", "country_iso_code", "country.code", "country",
		"location.country_code", "location.country.iso_code", "location.country.code", "location.country",
	},
}

// nameKey names the holder of an AS where the record names an AS, too; else it
// may be the name of anything.
const nameKey = "name"

// numberedKeys may hold an AS number and a name in one, such as "AS64500 Example".
var numberedKeys = map[string]bool{"asn": true, "as": true, "org": true}

// unreadKeys are those that published schemas have beside the ones that are
// read, and that tell neither AS nor organisation nor country of a network.
var unreadKeys = setOf(`
	as_domain as_type carrier city company connection_type continent continent_code continent_name
	country_geoname_id country_name district domain end_ip geoname_id hosting is_anonymous is_anonymous_proxy
	is_anycast is_in_european_union is_satellite_provider join_key lat latitude lng lon longitude mobile_country_code
	mobile_network_code network postal postal_code postcode proxy region region_code registered_country
	registered_country_geoname_id relay represented_country represented_country_geoname_id route security service
	start_ip state state1 state2 subdivisions threat time_zone timezone tor type usage_type user_type vpn zip_code`)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// keyNode is a key of a record: what its value may say, and which keys are read
// below it.
type keyNode struct {
	under  map[string]*keyNode
	places []keyPlace
	met    bool            // it occurs in the file
	unread map[string]bool // keys below that occur and are not read
}

// keyPlace is a place in mmdbKeys.
type keyPlace struct {
	fact     fact
	order    int
	numbered bool // see numberedKeys
}

// newKeyTree makes the tree of what is read.
func newKeyTree() *keyNode {
	root := &keyNode{}
	for f, paths := range mmdbKeys {
		for order, path := range paths {
			place := keyPlace{fact(f), order, numberedKeys[path]}
			root.at(path).places = append(root.at(path).places, place)
			if fact(f) == factOrganisation { // a name may be given in several languages
				root.at(path + ".en").places = append(root.at(path+".en").places, place)
			}
		}
	}
	return root
}

// at is the node of a path, made on first sight.
func (n *keyNode) at(path string) *keyNode {
	for key := range strings.SplitSeq(path, ".") {
		if n.under[key] == nil {
			if n.under == nil {
				n.under = map[string]*keyNode{}
			}
			n.under[key] = &keyNode{}
		}
		n = n.under[key]
	}
	return n
}

// mostUnread is how many keys that are not read are remembered of each map.
const mostUnread = 100

// pass notes a key that is not read.
func (n *keyNode) pass(key []byte) {
	if n.unread[string(key)] || len(n.unread) >= mostUnread {
		return
	}
	if n.unread == nil {
		n.unread = map[string]bool{}
	}
	n.unread[string(key)] = true
}

// found lists the keys that occur in the file, in order of their names.
func (n *keyNode) found(path string) (keys []string) {
	dot := ""
	if path != "" {
		dot = "."
	}
	for key, below := range n.under {
		keys = append(keys, below.found(path+dot+key)...)
	}
	for key := range n.unread {
		keys = append(keys, path+dot+key)
	}
	if n.met && len(keys) == 0 {
		keys = append(keys, path)
	}
	slices.Sort(keys)
	return keys
}

// strange says whether the file has keys that no schema has that is known here.
func (n *keyNode) strange() bool {
	for key := range n.unread {
		if !unreadKeys[key] {
			return true
		}
	}
	return false
}

// mostNamed is how many keys of a file a sentence names.
const mostNamed = 12

// listed writes keys, and how many more there are.
func listed(keys []string) string {
	if len(keys) == 0 {
		return "none"
	}
	var named []string
	for _, key := range keys[:min(len(keys), mostNamed)] {
		named = append(named, observation.Text(key))
	}
	text := strings.Join(named, ", ")
	if more := len(keys) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
