package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// ClaimPorts is the plan at ports that are free for the given networks
// ("udp4", "tcp4") at every IPv4 address. With first zero the search begins
// at the plan's own port; else first must be free. No other plan claims these
// ports, in whatever process, until the claim is closed: the port after the
// last one is held as its sign.
func (p *Plan) ClaimPorts(ctx context.Context, first uint16, networks ...string) (*Plan, io.Closer, error) {
	if first != 0 {
		claimed, err := claim(ctx, int(first), p.slots, networks)
		if err != nil {
			return nil, nil, fmt.Errorf("use ports %d to %d: %w: choose another port", first, int(first)+p.slots, err)
		}
		return p.OnPort(first), claimed, nil
	}
	err := errors.New("there are none")
	for port := int(p.Size.Port); port+p.slots < 1<<16; port += p.slots + 1 {
		var claimed io.Closer
		if claimed, err = claim(ctx, port, p.slots, networks); err == nil {
			return p.OnPort(uint16(port)), claimed, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, nil, fmt.Errorf("find %d free ports from %d on: %w", p.slots+1, p.Size.Port, err)
}

// claim holds the port after the last one, and listens at all of the others
// for a moment to see that they are free.
func claim(ctx context.Context, first, slots int, networks []string) (io.Closer, error) {
	if first+slots >= 1<<16 {
		return nil, errors.New("they end above 65535")
	}
	claimed, err := listen(ctx, "udp4", first+slots)
	if err != nil {
		return nil, err
	}
	for i := range slots {
		for _, network := range networks {
			c, err := listen(ctx, network, first+i)
			if err == nil {
				err = c.Close()
			}
			if err != nil {
				return nil, errors.Join(err, claimed.Close())
			}
		}
	}
	return claimed, nil
}

func listen(ctx context.Context, network string, port int) (io.Closer, error) {
	var config net.ListenConfig
	address := fmt.Sprintf("0.0.0.0:%d", port)
	if network == "tcp4" {
		return config.Listen(ctx, network, address)
	}
	return config.ListenPacket(ctx, network, address)
}
