package spec

import (
	"strconv"
)

// Job is a workload whose instances run to their end.
const Job WorkloadType = "job"

// WorkloadTypes lists the types.
var WorkloadTypes = []WorkloadType{Service, Job}

// JobSpec is how a job runs to its end.
type JobSpec struct {
	Completions    int      `json:"completions,omitempty"`   // instances that have to succeed; 1 where zero
	Parallelism    int      `json:"parallelism,omitempty"`   // how many run at a time; 1 where zero
	BackoffLimit   *int     `json:"backoffLimit,omitempty"`  // after more failures in all the job has failed; 6 where absent
	ActiveDeadline Duration `json:"activeDeadline,omitzero"` // after this the job has failed; zero: it may take as long as it likes
	Indexed        bool     `json:"indexed,omitempty"`       // each instance finds its slot in JOB_COMPLETION_INDEX
	TTL            Duration `json:"ttl,omitzero"`            // so long after its end the workload is deleted; zero: it stays
}

// DefaultBackoffLimit is how many instances of a job may fail.
const DefaultBackoffLimit = 6

// IndexVariable is where instances of an indexed job find their slot.
const IndexVariable = "JOB_COMPLETION_INDEX"

// Default fills what the user may leave out.
func (j *JobSpec) Default() {
	if j.Completions == 0 {
		j.Completions = 1
	}
	if j.Parallelism == 0 {
		j.Parallelism = 1
	}
	if j.BackoffLimit == nil {
		limit := DefaultBackoffLimit
		j.BackoffLimit = &limit
	}
}

// Validate reports every fault, with field as the path.
func (j JobSpec) Validate(field string) (errs Errors) {
	if j.Completions < 1 || j.Completions > MaxReplicas {
		errs.add(field+".completions", strconv.Itoa(j.Completions), "1 to %d", MaxReplicas)
	}
	if j.Parallelism < 1 || j.Parallelism > MaxReplicas {
		errs.add(field+".parallelism", strconv.Itoa(j.Parallelism), "1 to %d", MaxReplicas)
	}
	if j.BackoffLimit != nil && *j.BackoffLimit < 0 {
		errs.add(field+".backoffLimit", strconv.Itoa(*j.BackoffLimit), "0 or more")
	}
	if j.ActiveDeadline < 0 {
		errs.add(field+".activeDeadline", j.ActiveDeadline.String(), "0s (none) or longer")
	}
	if j.TTL < 0 {
		errs.add(field+".ttl", j.TTL.String(), "0s (it stays) or longer")
	}
	return errs
}

// validateJob reports what does not fit a workload's type.
func (s WorkloadSpec) validateJob(field string) (errs Errors) {
	if s.Type != Job {
		if s.Job != nil {
			errs.add(field+".job", "", "nothing, or the type job")
		}
		return errs
	}
	if s.Job == nil {
		errs.add(field+".job", "", "completions, parallelism and so on")
	} else {
		errs = append(errs, s.Job.Validate(field+".job")...)
	}
	if s.Replicas != nil {
		errs.add(field+".replicas", strconv.Itoa(*s.Replicas), "nothing: a job has completions and parallelism in spec.job")
	}
	if s.RestartPolicy == RestartAlways {
		errs.add(field+".restartPolicy", string(s.RestartPolicy), "never or on-failure: a job comes to an end")
	}
	if s.Strategy != nil {
		errs.add(field+".strategy", string(s.Strategy.Type), "nothing: a job is not rolled out")
	}
	return errs
}
