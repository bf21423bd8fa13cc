package core

import (
	"errors"
	"fmt"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Refusal is an error with a stable reason, fit to be shown to the client.
type Refusal struct {
	// Reason is the stable reason; never the unspecified one.
	Reason errorsv1.ErrorReason
	// Message says what is wrong and how to mend it.
	Message string
	// Field is the path of the request's field at fault. Empty: the request as a whole.
	Field string
	// Want is the name that was not found, and Have are existing names to search for a near match. Empty: nothing is suggested.
	Want string
	Have []string
	// Findings are those of a refused definition.
	Findings workflow.Findings
	// Metadata is for programs. May be nil.
	Metadata map[string]string
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// RefusalOf finds the refusal in err, however deeply wrapped; nil when there is none.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// IsReason reports whether err holds a refusal of this reason.
func IsReason(err error, reason errorsv1.ErrorReason) bool {
	r := RefusalOf(err)
	return r != nil && r.Reason == reason
}

// refuse makes a refusal.
func refuse(reason errorsv1.ErrorReason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an INVALID_ARGUMENT refusal about one field; the format says what is wrong with its value and how to mend it.
func Invalid(field, format string, args ...any) *Refusal {
	problem := fmt.Sprintf(format, args...)
	return &Refusal{
		Reason: errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, Message: field + ": " + problem, Field: field,
	}
}

// RunNotFound says that a run does not exist; have are existing ids to suggest from.
func RunNotFound(namespace, runID string, have []string) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run %q in namespace %q", runID, namespace)
	r.Want, r.Have = runID, have
	return r
}

// RequestNotFound says that no run was started under a request id.
func RequestNotFound(namespace, requestID string) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND,
		"no run in namespace %q was started with request_id %q", namespace, requestID)
}

// SequenceNotFound says that a history has not come to a sequence.
func SequenceNotFound(runID string, sequence, last uint64) *Refusal {
	return Invalid("sequences", "run %q has no event %d; its events are 1 to %d", runID, sequence, last)
}

// ArtifactNotFound says that the namespace holds no artifact of this digest.
func ArtifactNotFound(namespace, digest string) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND,
		"no artifact %q in namespace %q; an artifact exists once a run that names it, or an upload, has stored it", digest, namespace)
}

// EscalationNotFound says that an escalation does not exist; have are existing ids to suggest from.
func EscalationNotFound(namespace, id string, have []string) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, "no escalation %q in namespace %q", id, namespace)
	r.Want, r.Have = id, have
	return r
}

// SchemaTooNew says that the data was written by a newer binary.
func SchemaTooNew(found, known int) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_SCHEMA_TOO_NEW,
		"the data folder has schema version %d and this binary knows versions up to %d; start a newer signalbox", found, known)
	r.Metadata = map[string]string{"found": fmt.Sprint(found), "known": fmt.Sprint(known)}
	return r
}

// DataFolderInUse says that another process holds the data folder; holder is what it wrote about itself.
func DataFolderInUse(dir, holder string) *Refusal {
	if holder == "" {
		holder = "a process that has not said who it is"
	}
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_DATA_FOLDER_IN_USE,
		"%s is in use by %s; stop that process, or give this one another data_dir", dir, holder)
	r.Metadata = map[string]string{"holder": holder, "data_dir": dir}
	return r
}

// Draining says that the service is being stopped.
func Draining() *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "the state service is shutting down; send the request again")
}

// CursorInvalid says that a page's cursor is none that the store gave out.
func CursorInvalid() *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
		"page_token: not one that this call gave out; leave it empty to begin at the first page")
}

// CursorBeyond says that a cursor is not one of this log.
func CursorBeyond(after, end uint64) *Refusal {
	return Invalid("after_cursor", "%d is beyond the end of the log, which is %d; the cursor comes from another store or from before a restore. Begin anew",
		after, end)
}

// RecordNotFound says that a record does not exist.
func RecordNotFound(key RecordKey) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "no %s %q in namespace %q", key.Kind, key.ID, key.Namespace)
}

// RecordConflict says that a record is not at the version asked for; found is the one it is at, 0 when it does not exist.
func RecordConflict(key RecordKey, when RecordCondition, found uint64) *Refusal {
	is, wanted := fmt.Sprintf("is at version %d", found), fmt.Sprintf("version %d", when.Version)
	if found == 0 {
		is = "does not exist"
	}
	if when.Absent {
		wanted = "that it does not exist"
	}
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT,
		"%s %q in namespace %q %s and the write expects %s; read it again", key.Kind, key.ID, key.Namespace, is, wanted)
	r.Metadata = map[string]string{"version": fmt.Sprint(found)}
	return r
}

// TooLarge says that a field holds more bytes than are kept; mend says what to do instead.
func TooLarge(field string, bytes, limit int, mend string) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE, "%s: %d bytes are above the limit of %d; %s", field, bytes, limit, mend)
	r.Field = field
	return r
}

// EventInvalid says what is wrong with a field of an event from outside.
func EventInvalid(field, format string, args ...any) *Refusal {
	r := Invalid(field, format, args...)
	r.Reason = errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID
	return r
}

// RunArchived says that a run is no longer in the store but in the archive.
func RunArchived(key RunKey, at time.Time) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND,
		"run %q of namespace %q was archived at %s; `signalbox run archive show %s` shows it", key.RunID, key.Namespace,
		at.UTC().Format(time.RFC3339), key.RunID)
	r.Metadata = map[string]string{metaArchived: at.UTC().Format(time.RFC3339), metaArchivedRun: key.RunID}
	return r
}

// What the refusal of an archived run tells programs: when it was archived, and which run it is, which who asked by request does not know.
const (
	metaArchived    = "archive_time"
	metaArchivedRun = "archived_run_id"
)

// IsArchived reports whether err is the refusal of RunArchived.
func IsArchived(err error) bool {
	r := RefusalOf(err)
	return r != nil && r.Reason == errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND && r.Metadata[metaArchived] != ""
}

// RunNotEnded says that a run cannot be archived because another of its tree, or it itself, goes on; doing says how.
func RunNotEnded(key RunKey, other, doing string) *Refusal {
	who := "it"
	if other != key.RunID {
		who = fmt.Sprintf("run %q of its tree", other)
	}
	return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED,
		"run %q cannot be archived: %s %s; wait until it is done, or cancel it", key.RunID, who, doing)
}

func runChanged(key RunKey) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED, "run %q changed while it was being archived; try again", key.RunID)
}

// ArchiveFileMissing says that a file of the archive is not where it was.
func ArchiveFileMissing(name string) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND,
		"the archive has lost %s, which held the run; put it back from a backup of the folder archive", name)
}

// archiveDamaged says that the file of an archived run is damaged. The file is named from the archive's folder on, which tells no more than the run does.
func archiveDamaged(run ArchivedRun, damaged *DamagedFile) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_ARCHIVE_DAMAGED,
		"the archive of run %q is damaged: %v; put %s back from a backup of the folder archive", run.RunID, damaged, run.File)
}

// NotInArchive says that the archive does not have a run; have are ids that it has, to suggest from.
func NotInArchive(key RunKey, have []string) *Refusal {
	r := refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run %q in the archive of namespace %q", key.RunID, key.Namespace)
	r.Want, r.Have = key.RunID, have
	return r
}
