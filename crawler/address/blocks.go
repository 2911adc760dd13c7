package address

import (
	_ "embed"
	"fmt"
	"net/netip"

	"go4.org/netipx"
)

// blockList says what blocks of mixed organisations serve; it explains itself
// in its first lines and may be edited by anyone.
//
//go:embed blocks.csv
var blockList string

// loadBlocks reads the embedded list of blocks. The layer is no source of a
// user's folder and is not in [Table.Status].
func loadBlocks(c *classes) (*layer, error) {
	b := newBuilder(c, Source{Name: "blocks.csv"})
	err := readRules("blocks.csv", blockList, 5, func(f []string) error {
		block, err := netip.ParsePrefix(f[0])
		if err != nil {
			return err
		}
		class, err := parseHosting(f[1])
		switch {
		case err != nil:
			return err
		case block != block.Masked() || block.Bits() < 8:
			return fmt.Errorf("%s: want the base of a block that one organisation can have", block)
		case class == "" || f[2] == "" || f[3] == "" || f[4] == "":
			return fmt.Errorf("%s lacks a class, group, source or what it serves", block)
		}
		r := netipx.RangeOfPrefix(block)
		b.add(span{from: r.From(), to: r.To()}, said{hosting: class, note: f[4] + " (" + f[3] + ")"})
		return nil
	})
	if err != nil {
		return nil, err
	}
	l := b.layer(rankBlocks)
	l.source = nil
	return l, nil
}
