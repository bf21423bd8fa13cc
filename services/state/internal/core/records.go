package core

// maxRecordBytes is the most bytes that a record holds.
const maxRecordBytes = 1 << 20

// Validate checks what a store takes for granted.
func (r *Record) Validate() *Refusal {
	if len(r.Data) > maxRecordBytes {
		return TooLarge("data", len(r.Data), maxRecordBytes, "keep it in several records, or in an artifact")
	}
	return nil
}

// Holds reports whether a record at a version may be written; 0: there is none.
func (c RecordCondition) Holds(version uint64) bool {
	return (!c.Absent || version == 0) && (c.Version == 0 || c.Version == version)
}
