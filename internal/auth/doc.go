// Package auth holds the keys of a deployment and says who may do what on its NATS servers.
//
// It is NATS's decentralised scheme: an operator key signs accounts, the account RUTTER signs users, and a user's JWT carries
// its permissions ([ServicePermissions]). A server needs only the public side ([LoadTrust]), a service only its own
// credentials. Node-health admits nodes with a signing key that can make nothing but nodes: what they may do
// ([NodePermissions]) stands in the account, under the names that node-health gives them. A node joins with the join token
// ([Join]), which can ask for admission and nothing else.
package auth
