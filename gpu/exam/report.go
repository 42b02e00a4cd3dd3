package exam

// Report is what was measured. All times are seconds. After an error it has what was
// measured until then.
type Report struct {
	Card     string          `json:"card"`
	Kernels  string          `json:"kernels"` // the module
	Copy     float64         `json:"copy_bytes_per_s"`
	Flavours []ComputeReport `json:"flavours"`
	Memory   *MemoryReport   `json:"memory,omitempty"`
	Error    string          `json:"error,omitempty"` // what ended it early
}

// ComputeReport is a flavour on a row of the profile table.
type ComputeReport struct {
	Flavour  string        `json:"flavour"`
	Profile  uint16        `json:"profile"`
	Shape    string        `json:"shape"`
	Maker    string        `json:"maker"` // that runs use
	Products []ProductTime `json:"products"`

	Rounds     int     `json:"rounds"`
	RoundS     float64 `json:"round_s"` // mean of whole rounds
	OpsPerS    float64 `json:"ops_per_s"`
	OpsPerSP10 float64 `json:"ops_per_s_p10"` // of the slowest tenth at best, of the last half of the rounds
	ProductS   float64 `json:"product_s"`     // the product alone, right after the rounds: as warm as they were
	GenerateS  float64 `json:"generate_s"`    // alone, not beside a product as in a round
	HashS      float64 `json:"hash_s"`
	Overhead   float64 `json:"overhead_percent"` // a round over the product alone

	JoulesPerOp float64 `json:"joules_per_op,omitempty"` // of the whole card, in whole rounds

	Challenge *Result `json:"challenge,omitempty"`
}

// ProductTime is a maker's product alone: the least time of some passes in which the
// makers take turns.
type ProductTime struct {
	Maker   string  `json:"maker"`
	S       float64 `json:"product_s"`
	OpsPerS float64 `json:"ops_per_s"`
}

// MemoryReport is a class of the table, on a dataset as challenges ask for.
type MemoryReport struct {
	Class string `json:"class"`
	Items uint64 `json:"items"`
	Bytes uint64 `json:"dataset_bytes"`

	FillS           float64 `json:"fill_s"`           // as challenges see it: with taking the memory
	MakeS           float64 `json:"make_s"`           // the items alone, a second time in the same memory
	MadePerS        float64 `json:"items_made_per_s"` // by MakeS
	MadeBytesPerS   float64 `json:"items_made_bytes_per_s"`
	ReadPerS        float64 `json:"items_walked_per_s"` // by walks: each read waits for the one before it
	ReadBytesPerS   float64 `json:"items_walked_bytes_per_s"`
	RandomPerS      float64 `json:"items_read_per_s"` // at random, none waits: the most that walks could reach
	RandomBytesPerS float64 `json:"items_read_bytes_per_s"`

	ClassReadPerS uint64  `json:"class_items_read_per_s"` // what the table takes for the class's best
	ClassMadePerS uint64  `json:"class_items_made_per_s"`
	ProvenBytes   uint64  `json:"proven_bytes"` // by the walks' rate
	HiddenShare   float64 `json:"hidden_share"` // of the dataset, that the class's best could do without

	Challenge *Result `json:"challenge,omitempty"`
}
