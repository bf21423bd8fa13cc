package shop

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// catalogue is the goods on sale. No tool changes them, so they are read once and kept.
type catalogue struct {
	products map[string]*Product
	docs     map[string][]byte // product id → the document as loaded
	types    []byte            // {product name: product id}, sorted by name
}

func newCatalogue(docs map[string][]byte) (*catalogue, error) {
	c := &catalogue{products: make(map[string]*Product, len(docs)), docs: docs}
	byName := make(map[string]string, len(docs))
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		doc := docs[id]
		var p Product
		if err := json.Unmarshal(doc, &p); err != nil {
			return nil, fmt.Errorf("product %s: %w", id, err)
		}
		c.products[id] = &p
		byName[p.Name] = p.ProductID
	}
	types, err := encode(byName) // map keys are written in order
	if err != nil {
		return nil, err
	}
	c.types = types
	return c, nil
}

// variant gives the item of the product, nil when either is unknown.
func (c *catalogue) variant(productID, itemID string) *Variant {
	p := c.products[productID]
	if p == nil {
		return nil
	}
	return p.Variants[itemID]
}
