package format

import "github.com/registrykit/registry/notification"

// JSON returns the format of this module: {"events": […]} with the content type application/json.
// Each event has the JSON form of [notification.Event], and no event is left out. All events are in
// one message.
func JSON() Format { return jsonFormat{} }

type jsonFormat struct{}

func (jsonFormat) Encode(events []notification.Event) ([]Message, error) {
	if len(events) == 0 {
		return nil, nil
	}
	body, err := marshal(struct {
		Events []notification.Event `json:"events"`
	}{events})
	if err != nil {
		return nil, err
	}
	return []Message{{
		ID: batchID(events), ContentType: "application/json", Body: body, Events: len(events), EventIDs: eventIDs(events),
	}}, nil
}
