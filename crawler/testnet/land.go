package testnet

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"

	"canopy/crawler/observation"
)

// The synthetic internet. Each land has room for a million addresses, so that
// every node of a large network has one of its own; 127.0.0.0/12 stays free
// for real services.
var (
	HomeDE     = land("127.16.0.0/12", 64496, "Example Broadband DE", "DE", observation.HostingResidential)
	HomeFR     = land("127.32.0.0/12", 64497, "Example Telecom FR", "FR", observation.HostingResidential)
	HomeBR     = land("127.48.0.0/12", 64498, "Example Fibra BR", "BR", observation.HostingResidential)
	HomeIN     = land("127.64.0.0/12", 64499, "Example Networks IN", "IN", observation.HostingResidential)
	HomeUS     = land("127.80.0.0/12", 64500, "Example Cable US", "US", observation.HostingResidential)
	HomeJP     = land("127.96.0.0/12", 65536, "Example Hikari JP", "JP", observation.HostingResidential)
	MobileID   = land("127.112.0.0/12", 65537, "Example Mobile ID", "ID", observation.HostingMobile)
	MobileBR   = land("127.128.0.0/12", 65538, "Example Celular BR", "BR", observation.HostingMobile)
	ServersNL  = land("127.144.0.0/12", 65540, "Example Servers NL", "NL", observation.HostingHosting)
	CloudUS    = land("127.160.0.0/13", 4200000001, "Example Cloud US", "US", observation.HostingHosting)
	CloudUSTwo = land("127.168.0.0/13", 4200000001, "Example Cloud US", "US", observation.HostingHosting)
	CloudSG    = land("127.176.0.0/12", 4200000002, "Example Compute SG", "SG", observation.HostingHosting)
	CampusCH   = land("127.192.0.0/12", 64510, "Example University CH", "CH", observation.HostingInstitutional)
	ExitsSE    = land("127.208.0.0/12", 64511, "Example Relays SE", "SE", observation.HostingAnonymiser)
)

func land(prefix string, asn uint32, organisation, country string, h observation.Hosting) Land {
	return Land{netip.MustParsePrefix(prefix), asn, organisation, country, h}
}

// AddressTable writes what the synthetic address table says of every land of
// the plan; see [WriteAddressTable].
func (p *Plan) AddressTable(w io.Writer) error { return WriteAddressTable(w, p) }

// WriteAddressTable writes one table for the lands of several plans as CSV
// with a header: start, end, asn, organisation, country, hosting. Rows are
// ascending; lands that two plans share are written once.
func WriteAddressTable(w io.Writer, plans ...*Plan) error {
	var lands []Land
	for _, p := range plans {
		for i := range p.personas {
			if l := p.personas[i].Land; !slices.Contains(lands, l) {
				lands = append(lands, l)
			}
		}
	}
	slices.SortFunc(lands, func(a, b Land) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	rows := [][]string{{"start", "end", "asn", "organisation", "country", "hosting"}}
	for _, l := range lands {
		asn := strconv.FormatUint(uint64(l.ASN), 10)
		rows = append(rows, []string{l.Prefix.Addr().String(), l.last().String(), asn, l.Organisation, l.Country, string(l.Hosting)})
	}
	if err := csv.NewWriter(w).WriteAll(rows); err != nil {
		return fmt.Errorf("write address table: %w", err)
	}
	return nil
}

// subnets is the number of /24 in the land.
func (l Land) subnets() int { return 1 << (24 - l.Prefix.Bits()) }

func (l Land) last() netip.Addr { return l.host(l.subnets()-1, 255) }

// host is the address with the given last byte in the land's n-th /24.
func (l Land) host(subnet int, last byte) netip.Addr {
	a := l.Prefix.Addr().As4()
	n := int(a[0])<<16 | int(a[1])<<8 | int(a[2])
	n += subnet
	return netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n), last})
}

// hostsPerSubnet leaves out .0 and .255, which some stacks treat as broadcast.
const hostsPerSubnet = 254

// capacity is the number of addresses that the persona can give away.
func (p *Persona) capacity() int {
	if p.Dense > 0 {
		return p.Land.subnets() * p.Dense
	}
	return p.Land.subnets() * hostsPerSubnet
}

// address gives the persona's n-th address. Distinct n below capacity give
// distinct addresses.
func (p *Persona) address(n int) netip.Addr {
	if p.Dense > 0 {
		return p.Land.host(n/p.Dense, byte(1+n%p.Dense))
	}
	// An odd factor permutes the /24s, whose number is a power of two, so that
	// neighbours in number are not neighbours in the address space.
	subnets := p.Land.subnets()
	subnet := n * 2957 % subnets
	return p.Land.host(subnet, byte(1+(n/subnets+subnet*37)%hostsPerSubnet))
}
