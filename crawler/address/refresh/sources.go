package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"canopy/crawler/address"
	"canopy/crawler/observation"
)

// Source is one data set that can be fetched. All of its files are needed.
type Source struct {
	Name    string
	Title   string // what it is, for people
	Kind    address.Kind
	Licence string
	Credit  string // attribution that the licence asks for
	Note    string
	Files   []File
	Min     int  // a version with fewer ranges is cut short
	OnAsk   bool // fetched only when it is named
	parse   func(*rows, []byte) error
}

// File is one file of a source.
type File struct {
	Name string // on a mirror, below the source's name
	URL  string
	// link finds the real URL, and a check of what lies there, in the document
	// at URL; nil if that is the file itself. Mirrors hold the file itself.
	link func(document []byte) (url string, check func([]byte) error, err error)
}

// noLicence is said of facts whose owner publishes them for use by anyone and
// attaches no licence.
const noLicence = "no licence stated; published by their owner for use by anyone"

// Sources lists the data sets that Canopy knows to fetch.
func Sources() []Source {
	return []Source{
		{
			Name: "iptoasn", Title: "IPtoASN, which AS announces a block", Kind: address.KindAS, Licence: "PDDL 1.0 (public domain)",
			Credit: "IP to AS data by IPtoASN (https://iptoasn.com), public domain", Min: 100_000, parse: parseIPtoASN,
			Files: []File{{Name: "ip2asn-combined.tsv.gz", URL: "https://iptoasn.com/data/ip2asn-combined.tsv.gz"}},
		},
		{
			Name: "npm", Title: "ip-location-db's AS table, for machines that reach npm only", Kind: address.KindAS, Licence: "CC BY 4.0",
			Credit: "IP to AS data by RouteViews (routeviews.org), the NRO (nro.net) and DB-IP (https://db-ip.com), merged by ip-location-db, CC BY 4.0",
			Note:   "Its makers say that the npm edition contains known errors and is no longer updated.",
			Files:  []File{{Name: "asn.tgz", URL: npmScheme + "@ip-location-db/asn/latest", link: npmTarball}},
			Min:    100_000, OnAsk: true, parse: parseNpm,
		},
		published("aws", "Amazon Web Services", 1000, parseAWS, File{Name: "ip-ranges.json", URL: "https://ip-ranges.amazonaws.com/ip-ranges.json"}),
		published("google", "Google", 50, parseGoogle,
			File{Name: "goog.json", URL: "https://www.gstatic.com/ipranges/goog.json"}, File{Name: "cloud.json", URL: "https://www.gstatic.com/ipranges/cloud.json"}),
		published("azure", "Microsoft Azure", 1000, parseAzure,
			File{Name: "ServiceTags_Public.json", URL: "https://www.microsoft.com/en-us/download/details.aspx?id=56519", link: azureLink}),
		published("oracle", "Oracle Cloud", 50, parseOracle, File{Name: "public_ip_ranges.json", URL: "https://docs.oracle.com/en-us/iaas/tools/public_ip_ranges.json"}),
		published("digitalocean", "DigitalOcean", 100, geofeed("DigitalOcean", observation.HostingHosting), File{Name: "google.csv", URL: "https://www.digitalocean.com/geo/google.csv"}),
		published("linode", "Linode (Akamai)", 100, geofeed("Linode", observation.HostingHosting), File{Name: "geofeed.csv", URL: "https://geoip.linode.com/"}),
		published("vultr", "Vultr", 50, geofeed("Vultr", observation.HostingHosting), File{Name: "geofeed.csv", URL: "https://geofeed.constant.com/?csv"}),
		published("cloudflare", "Cloudflare", 5, blocks("Cloudflare"),
			File{Name: "ips-v4", URL: "https://www.cloudflare.com/ips-v4"}, File{Name: "ips-v6", URL: "https://www.cloudflare.com/ips-v6"}),
		published("fastly", "Fastly", 5, parseFastly, File{Name: "public-ip-list.json", URL: "https://api.fastly.com/public-ip-list"}),
		{
			Name: "tor", Title: "exits of the Tor network", Kind: address.KindExits, Licence: noLicence, Credit: "Tor exits by the Tor Project (https://check.torproject.org)",
			Files: []File{{Name: "torbulkexitlist", URL: "https://check.torproject.org/torbulkexitlist"}}, Min: 300, parse: parseTor,
		},
		{
			Name: "apple-relay", Title: "egress of Apple's private relay", Kind: address.KindExits, Licence: noLicence,
			Credit: "Egress ranges published by Apple (https://mask-api.icloud.com/egress-ip-ranges.csv)",
			Files:  []File{{Name: "egress-ip-ranges.csv", URL: "https://mask-api.icloud.com/egress-ip-ranges.csv"}}, Min: 1000,
			parse: geofeed("egress of Apple's private relay", observation.HostingAnonymiser),
			Note:  "The country is that of the person behind the relay, not that of the machine.",
		},
		registries(),
	}
}

func published(name, owner string, least int, parse func(*rows, []byte) error, files ...File) Source {
	return Source{
		Name: name, Title: "ranges that " + owner + " publishes", Kind: address.KindPublished, Licence: noLicence,
		Credit: "Ranges published by " + owner + " (" + files[0].URL + ")", Files: files, Min: least, parse: parse,
	}
}

// registries are the delegation statistics of the five regional registries, in
// the exchange format that they agreed on:
// https://www.apnic.net/about-apnic/corporate-documents/documents/resource-guidelines/rir-statistics-exchange-format/
func registries() Source {
	s := Source{
		Name: "rir", Title: "in which country the registries delegated a block", Kind: address.KindCountry, Licence: noLicence,
		Credit: "Delegations by AFRINIC, APNIC, ARIN, LACNIC and RIPE NCC", Min: 100_000, parse: parseDelegated,
		Note: "The country is that of the registration, which need not be where the address is used.",
	}
	for _, r := range []struct{ name, url string }{
		{"afrinic", "https://ftp.afrinic.net/pub/stats/afrinic/delegated-afrinic-extended-latest"},
		{"apnic", "https://ftp.apnic.net/stats/apnic/delegated-apnic-extended-latest"},
		{"arin", "https://ftp.arin.net/pub/stats/arin/delegated-arin-extended-latest"},
		{"lacnic", "https://ftp.lacnic.net/pub/stats/lacnic/delegated-lacnic-extended-latest"},
		{"ripencc", "https://ftp.ripe.net/pub/stats/ripencc/delegated-ripencc-extended-latest"},
	} {
		s.Files = append(s.Files, File{Name: "delegated-" + r.name + "-extended-latest", URL: r.url})
	}
	return s
}

// Named picks sources by name; without names those that are fetched unasked.
// A name that is not known is returned as unknown.
func Named(names ...string) (picked []Source, unknown string) {
	all := Sources()
	if len(names) == 0 {
		return slices.DeleteFunc(all, func(s Source) bool { return s.OnAsk }), ""
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(s Source) bool { return s.Name == name })
		if i < 0 {
			return nil, name
		}
		picked = append(picked, all[i])
	}
	return picked, ""
}

var azureFile = regexp.MustCompile(`https://download\.microsoft\.com/download/[^"'<>\s]*/ServiceTags_Public_\d+\.json`)

// azureLink finds the file of the week in Microsoft's page about it.
func azureLink(page []byte) (string, func([]byte) error, error) {
	url := azureFile.Find(page)
	if url == nil {
		return "", nil, errors.New("the page of Microsoft holds no link to ServiceTags_Public_*.json any more; fetch it by hand and use --from")
	}
	return string(url), nil, nil
}

// npmScheme begins the URL of what lies at the registry that npm is set to use.
const npmScheme = "npm:"

// npmURL asks npm where that is.
func npmURL(ctx context.Context, path string) (string, error) {
	registry, err := exec.CommandContext(ctx, "npm", "config", "get", "registry").Output()
	if err != nil {
		return "", fmt.Errorf("ask npm for its registry: %w; install npm, or name a mirror with --from", err)
	}
	return strings.TrimSuffix(strings.TrimSpace(string(registry)), "/") + "/" + path, nil
}

// npmTarball reads the registry's description of a package's latest version.
func npmTarball(document []byte) (string, func([]byte) error, error) {
	var p struct {
		Dist struct{ Integrity, Tarball string }
	}
	if err := json.Unmarshal(document, &p); err != nil {
		return "", nil, err
	}
	if p.Dist.Tarball == "" {
		return "", nil, errors.New("the registry names no tarball")
	}
	return p.Dist.Tarball, func(tarball []byte) error { return checkIntegrity(p.Dist.Integrity, tarball) }, nil
}
