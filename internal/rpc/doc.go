// Package rpc carries byte streams between gateway and agents over NATS request and reply: container logs, exec and stats. Streams
// never decide anything and are never part of the log.
//
// A session begins with a request on rpc.<node>.<verb> whose reply subject lies in the part of the gateways' inbox that is the node's
// ([Answers]). Everything that the agent says goes there, everything that the caller says after the request goes to rpc.<node>.in.<session>, which the agent
// names in its first message. What a message is stands in its header Rutter-Stream:
//
//	agent → caller                            caller → agent
//	  ready   the session stands                ack     so many chunks were taken (data: decimal count)
//	  stdout, stderr, log, stats  one chunk     stdin   one chunk of input
//	  ack     so many chunks of input taken     close   no more input
//	  ping    still here                        resize  TerminalSize as JSON
//	  exit    ended, with an exit code          cancel  the caller is gone
//	  error   ended, with an error              ping    still here
//
// Flow control: each side keeps at most [Window] chunks under way that the other has not acknowledged, so a slow reader
// slows the writer down and nobody's memory grows. Chunks are at most [MaxChunk] bytes. A side that hears nothing for [Silence] takes the
// other for gone. A node without an agent answers at once: NATS itself says that nobody listens.
//
// Permissions: an agent subscribes rpc.<node>.> and publishes below [Answers] of its node; a gateway publishes rpc.> and subscribes its own
// inbox prefix. Neither has the right to answer wherever a request points, and each looks at what it hears once more: a request whose
// reply lies elsewhere, or a message that was stored under another subject and is only delivered here, is not heard.
package rpc
