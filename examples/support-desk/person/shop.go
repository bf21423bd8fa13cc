package person

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
)

// Shop is the shop as a person at a screen sees it: its READ tools, and no other.
type Shop struct {
	// Conn to the gateway. Required.
	Conn grpc.ClientConnInterface
	// Server is the desk's name among the tool servers. Required.
	Server string
}

// errRefused is the shop's own no, which is an answer too.
type errRefused struct{ words string }

func (e errRefused) Error() string { return e.words }

// Look calls a READ tool and decodes its answer. A tool that does more than look is refused here.
func (s Shop) Look(ctx context.Context, tool string, arguments, into any) error {
	reads := slices.ContainsFunc(desk.Tools(), func(t desk.Tool) bool { return t.Name == tool && t.Effect == desk.Read })
	if !reads {
		return fmt.Errorf("%s is not a tool that only looks", tool)
	}
	args, err := json.Marshal(arguments)
	if err != nil {
		return fmt.Errorf("arguments of %s: %w", tool, err)
	}
	resp, err := gatewayv1.NewToolServiceClient(s.Conn).CallTool(ctx, &gatewayv1.CallToolRequest{Server: s.Server, Tool: tool, Arguments: args})
	if err != nil {
		return err
	}
	if resp.GetIsError() {
		return errRefused{words: string(resp.GetOutput())}
	}
	if err := json.Unmarshal(resp.GetOutput(), into); err != nil {
		return fmt.Errorf("answer of %s: %w", tool, err)
	}
	return nil
}

// order is what a person looks at of an order.
type order struct {
	UserID   string `json:"user_id"`
	Status   string `json:"status"`
	Payments []struct {
		Type   string  `json:"transaction_type"`
		Amount float64 `json:"amount"`
	} `json:"payment_history"`
}

func (o order) paid() float64 {
	sum := 0.0
	for _, p := range o.Payments {
		if p.Type == "payment" {
			sum += p.Amount
		} else {
			sum -= p.Amount
		}
	}
	return sum
}

func (s Shop) order(ctx context.Context, id string) (o order, err error) {
	err = s.Look(ctx, "get_order_details", map[string]string{"order_id": id}, &o)
	return o, err
}
