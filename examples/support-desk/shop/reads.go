package shop

import (
	"strings"

	"zombiezen.com/go/sqlite"
)

// find answers with the one text a query gives, or refuses.
func (s *Shop) find(query, otherwise string, args ...any) (string, error) {
	var value string
	err := s.read(func(c *sqlite.Conn) error {
		v, found, err := text(c, query, args...)
		if err == nil && !found {
			err = refuse("%s", otherwise)
		}
		value = v
		return err
	})
	return value, err
}

func findByEmail(s *Shop, a struct{ Email string }) (Result, error) {
	id, err := s.find("SELECT id FROM users WHERE email_key = ? ORDER BY pos LIMIT 1", "user not found", strings.ToLower(a.Email))
	return plain(id), err
}

func findByNameZip(s *Shop, a struct {
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Zip       string
}) (Result, error) {
	id, err := s.find("SELECT id FROM users WHERE name_key = ? AND doc ->> '$.address.zip' = ? ORDER BY pos LIMIT 1",
		"user not found", nameKey(a.FirstName, a.LastName), a.Zip)
	return plain(id), err
}

func getOrder(s *Shop, a orderArgs) (Result, error) {
	doc, err := s.find("SELECT doc FROM orders WHERE id = ?", "order not found", a.OrderID)
	return Result{Text: doc}, err
}

func getUser(s *Shop, a struct {
	UserID string `json:"user_id"`
}) (Result, error) {
	doc, err := s.find("SELECT doc FROM users WHERE id = ?", "user not found", a.UserID)
	return Result{Text: doc}, err
}

func getProduct(s *Shop, a struct {
	ProductID string `json:"product_id"`
}) (Result, error) {
	goods, err := s.catalogue()
	if err != nil {
		return Result{}, err
	}
	doc, ok := goods.docs[a.ProductID]
	if !ok {
		return Result{}, refuse("product not found")
	}
	return Result{Text: string(doc)}, nil
}

func listProductTypes(s *Shop, _ none) (Result, error) {
	goods, err := s.catalogue()
	if err != nil {
		return Result{}, err
	}
	return Result{Text: string(goods.types)}, nil
}
