/* SPDX-License-Identifier: Apache-2.0
 *
 * shm.h - the message transport between ranks that share memory.
 */
#ifndef TT_SHM_SHM_H
#define TT_SHM_SHM_H

#include <tutti/transport.h>

const tutti_transport *tt_transport_shm(void);

#endif /* TT_SHM_SHM_H */
