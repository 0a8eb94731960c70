/* io/connection.h -- descriptors that coir makes */
#ifndef COIR_IO_CONNECTION_H
#define COIR_IO_CONNECTION_H

/* A stream socket that coir made, known as such. Or why there is none. */
int coir_i_socket_make(int family);

#endif
