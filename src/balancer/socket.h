/* HAProxy's runtime socket, on the event loop.
 *
 * Commands go out in the order in which they were given, each on a connection of its own (HAProxy
 * answers and closes). Loop thread only; bounded in number, answer size and time. */
#ifndef BALANCER_SOCKET_H
#define BALANCER_SOCKET_H

#include "balancer/config.h"
#include "base/error.h"
#include "base/slice.h"

#include <uv.h>

struct balancer_socket; /* Opaque. */

/* @answer lives for the call; @err is NULL when all is well. */
typedef void balancer_answer_fn(void *data, struct slice answer, const struct error *err);

/* @path is copied. Nothing is opened yet. */
struct balancer_socket *balancer_socket_open(uv_loop_t *loop, const char *path);
/* Waiting commands are dropped, their functions not called. NULL is fine. */
void balancer_socket_close(struct balancer_socket *socket);

/* Send one command, or several with ';' between: "show stat". @done may be NULL. A full queue is an
 * error that @done gets at once. */
void balancer_socket_send(struct balancer_socket *socket, const char *command,
                          balancer_answer_fn *done, void *data);

/* The commands, appended to @text. HAProxy's answers to them are judged by balancer_accepted(). */
void balancer_command_add(struct buf *text, const char *backend,
                          const struct balancer_server *server);
void balancer_command_state(struct buf *text, const char *backend, const char *server,
                            enum balancer_server_state state);
/* Only when in maintenance and idle; else HAProxy refuses and we ask again later. */
void balancer_command_delete(struct buf *text, const char *backend, const char *server);
/* Cut what is under way: the deregistration delay is over. */
void balancer_command_cut(struct buf *text, const char *backend, const char *server);

/* Did HAProxy do it? Its silence means yes; also "New server registered." and "Server deleted.". */
bool balancer_accepted(struct slice answer);

#endif /* BALANCER_SOCKET_H */
