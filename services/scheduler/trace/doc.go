// Package trace plays recorded arrivals of a cluster against the scheduler's own placement, to compare policies.
//
// The lists are CSV in the format of Alibaba's cluster-trace-gpu-v2023. Tasks only arrive; what does not fit is dropped and counts as
// arrived all the same, as in the evaluation of fragmentation gradient descent (Weng et al., USENIX ATC 2023).
package trace
