package instance

// StopV1 asks for an instance to stop by hand; another one takes its slot. It is sent to its workload.
type StopV1 struct {
	Instance string `json:"instance"`
}

// WireType implements events.Payload.
func (StopV1) WireType() string { return "run.rutter.instance.stop.v1" }

// Line implements events.Payload.
func (c StopV1) Line() string { return "stop " + c.Instance }
