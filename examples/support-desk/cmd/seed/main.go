// Command seed makes the sample shop of the support desk, with cases for it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
)

func main() {
	dir := flag.String("out", "support-desk-data", "`folder` to write; made when absent")
	number := flag.Uint64("seed", 1, "seed number; the same number makes the same shop")
	flag.Parse()
	if err := seed.Write(*dir, *number); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("wrote the shop of seed", *number, "to", *dir)
}
