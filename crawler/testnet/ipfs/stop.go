package ipfs

import (
	"context"
	"slices"
)

// Stop stops nodes by number, whatever the plan says, until the next Advance.
// Tables stay as they are and go on naming them: nobody was told.
func (n *Network) Stop(ctx context.Context, numbers ...int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stop(ctx, func(number int) bool { return slices.Contains(numbers, number) })
}
