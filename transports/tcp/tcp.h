/* SPDX-License-Identifier: Apache-2.0
 *
 * tcp.h - the transport between hosts: messages over TCP connections.
 */
#ifndef TT_TCP_TCP_H
#define TT_TCP_TCP_H

#include <tutti/transport.h>

const tutti_transport *tt_transport_tcp(void);

#endif /* TT_TCP_TCP_H */
