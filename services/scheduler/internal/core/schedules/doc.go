// Package schedules starts runs at set times.
//
// A schedule's record holds a cursor: every time up to it has been dealt with. The keeper looks at a schedule when its next time comes,
// starts what is to be started, and then moves the cursor on. Run id and request id of a start are made of the schedule's id and the time,
// so that a crash between the start and the record starts nothing twice: the start is repeated, and answered with the run that is there.
package schedules
