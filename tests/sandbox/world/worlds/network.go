package worlds

import (
	"fmt"
	"math/big"
	"net/netip"
)

// Nth is the address with a number in a range; 0 is the range's own.
func Nth(text string, number int) netip.Addr {
	address := netip.MustParsePrefix(text).Masked().Addr()
	sum := new(big.Int).SetBytes(address.AsSlice())
	sum.Add(sum, big.NewInt(int64(number)))
	next, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, address.BitLen()/8)))
	return next
}

// Number of an address in a range, the inverse of Nth: 0 if it is not in it.
func Number(text string, address netip.Addr) int {
	network := netip.MustParsePrefix(text).Masked()
	if !network.Contains(address) {
		return 0
	}
	first := new(big.Int).SetBytes(network.Addr().AsSlice())
	number := new(big.Int).SetBytes(address.AsSlice())
	return int(number.Sub(number, first).Int64())
}

// Size is the number of addresses in a range, at most 65,536.
func Size(text string) int {
	network := netip.MustParsePrefix(text)
	return 1 << min(network.Addr().BitLen()-network.Bits(), 16)
}

// IsIPv6 says whether the cluster's first family is IPv6.
func (n Network) IsIPv6() bool { return netip.MustParsePrefix(n.Services).Addr().Is6() }

func (n Network) check() error {
	families := map[bool]bool{}
	for _, text := range []string{n.Nodes, n.Pods, n.Services} {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		families[network.Addr().Is6()] = true
	}
	if len(families) > 1 {
		return fmt.Errorf("the ranges %s, %s and %s are of two families", n.Nodes, n.Pods, n.Services)
	}
	return nil
}
