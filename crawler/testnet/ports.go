package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// OnFreePorts is the plan at ports that are free for the given networks
// ("udp4", "tcp4") at every IPv4 address. With first zero the search begins
// at the plan's own port; else first must be free.
func (p *Plan) OnFreePorts(ctx context.Context, first uint16, networks ...string) (*Plan, error) {
	if first != 0 {
		if err := free(ctx, first, p.slots, networks); err != nil {
			return nil, fmt.Errorf("use ports %d to %d: %w: choose another port", first, int(first)+p.slots-1, err)
		}
		return p.OnPort(first), nil
	}
	var err error
	for port := int(p.Size.Port); port+p.slots < 1<<16; port += p.slots {
		if err = free(ctx, uint16(port), p.slots, networks); err == nil {
			return p.OnPort(uint16(port)), nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("find %d free ports from %d on: %w", p.slots, p.Size.Port, err)
}

// free listens at all of the ports for a moment.
func free(ctx context.Context, first uint16, slots int, networks []string) (err error) {
	var open []io.Closer
	defer func() {
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
	}()
	if int(first)+slots > 1<<16 {
		return errors.New("they end above 65535")
	}
	for i := range slots {
		address := fmt.Sprintf("0.0.0.0:%d", int(first)+i)
		for _, network := range networks {
			c, err := listen(ctx, network, address)
			if err != nil {
				return err
			}
			open = append(open, c)
		}
	}
	return nil
}

func listen(ctx context.Context, network, address string) (io.Closer, error) {
	var config net.ListenConfig
	if network == "tcp4" {
		return config.Listen(ctx, network, address)
	}
	return config.ListenPacket(ctx, network, address)
}
