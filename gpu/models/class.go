package models

// class is a row of the table in challenges/memory as cards are sorted into it.
type class struct {
	number uint16
	name   string
	most   uint64 // bytes/s of published bandwidth that the row's rate of reads still covers
}

// classes are the rows of challenges/memory that real cards have. A class should not
// read slower than a card of it, or the card can hide what it recomputes; a slower card
// passes, within the class's patience. most is the row's reads of 64 bytes divided by
// 0.55: the rows assume 0.60 to 0.64 of their fastest card's bandwidth, so a card at the
// limit may read up to a sixth faster than its row.
func classes() []class {
	return []class{
		{5001, "gddr6-4m", 349 * gb},
		{5002, "gddr6-6m", 1024 * gb},
		{5003, "l4", 326 * gb},
		{5004, "ada", 1094 * gb},
		{5005, "a100", 2327 * gb},
		{5006, "h100", 3898 * gb},
		{5007, "h200", 5585 * gb},
		{5008, "gh200", 5585 * gb},
		{5009, "b200", 9309 * gb},
		{5010, "gb200", 9309 * gb},
		{5011, "gddr7", 1163 * gb},
		{5012, "gddr7-512", 2210 * gb},
	}
}

const (
	otherPrefix = "other-"
	otherName   = "other"
)

// Classes lists what stands for models that are not in the table: for each class of
// memory a row without reference, and one without even a class. Their cards are
// measured and compared with each other; they are not scored against a model.
func Classes() []Spec {
	const source = "no figures known: measured, and compared with its class"
	rows := make([]Spec, 0, len(classes())+1)
	for _, c := range classes() {
		rows = append(rows, Spec{Name: otherPrefix + c.name, Title: "another card of class " + c.name, Memories: c.number, Source: source})
	}
	return append(rows, Spec{Name: otherName, Title: "another card", Source: source})
}

// Class is what stands for a card that is not in the table, by its compute
// capability and its memory's published or reported bandwidth in bytes/s. It is
// false where the kernels do not run.
//
// A card whose memory is the host's (Orin 8.7, Thor 11, GB10 12.1) or whose bandwidth
// is not known (0) has no class of memory. Grace's cards (GH200, GB200) cannot be told
// by these figures; they are in the table.
func Class(major, minor int, bandwidth uint64) (Spec, bool) {
	if !Supported(major, minor) {
		return Spec{}, false
	}
	var rows []uint16 // by their reads
	switch {
	case bandwidth == 0, major == 8 && minor == 7, major == 11, major == 12 && minor != 0:
	case major == 7, major == 8 && minor == 6:
		rows = []uint16{5001, 5002}
	case major == 8 && minor == 0:
		rows = []uint16{5005}
	case major == 8:
		rows = []uint16{5003, 5004}
	case major == 9:
		rows = []uint16{5006, 5007}
	case major == 10:
		rows = []uint16{5009}
	case major == 12:
		rows = []uint16{5011, 5012}
	default:
		rows = []uint16{5004, 5006, 5007, 5009}
	}
	name := otherName
	for _, number := range rows {
		c := classOf(number)
		name = otherPrefix + c.name
		if bandwidth <= c.most {
			break
		}
	}
	s, err := Lookup(name)
	return s, err == nil
}

func classOf(number uint16) class {
	for _, c := range classes() {
		if c.number == number {
			return c
		}
	}
	return class{}
}
