/* What is said of a file in PEM that is not taken, whatever library has read it. */
#ifndef CMCWH_TLS_FAULTS_H
#define CMCWH_TLS_FAULTS_H

enum { TLS_RSA_LEAST = 2048 /* bits of a key that peers believe in */ };

#define TLS_FAULT_NONE    "there is none in it"
#define TLS_FAULT_DAMAGED "its bytes are damaged"
#define TLS_FAULT_LOCKED  "it asks for a pass phrase, which must be taken off"
#define TLS_FAULT_SMALL   "its key is too small: RSA needs 2048 bits"
#define TLS_FAULT_OPEN    "others may read it: chmod 640, or 600"
#define TLS_FAULT_OTHER   "it is not the key of the certificate"

#endif
