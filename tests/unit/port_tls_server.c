/* Sessions of those who come to us, played by OpenSSL, whatever library the port has: at whichever
 * byte they end, or go wrong, and however many there are, nothing is left of them. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificate.h"
#include "said.h"
#include "tls/server.h"

/* A small library has its memory in a pool, which is looked into. */
#ifdef MBEDTLS_CONFIG_FILE
#include "tls/mbedtls/pool.h"
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { SESSIONS = 6, SHAKING = 3, READING = 2, TURNS = 50, RECORD = 16384, ALERT = 7 /* bytes */ };

static struct made old_key, new_key, rsa_key;
static SSL_CTX *clients;
static struct tls_room *room;

static void load(const struct made *made) {
    char text[PEM_MOST] = "", key[PEM_MOST] = "";

    add_certificate(text, made);
    add_key(key, made, false);
    assert_true(tls_load(file_of(text, strlen(text), 0644), file_of(key, strlen(key), 0600)));
}

static int begin(void **state) {
    (void)state;
    old_key = make(&(struct plan){.subject = "old", .names = "DNS:old.example"});
    new_key = make(&(struct plan){.subject = "new", .names = "DNS:new.example"});
    rsa_key = make(&(struct plan){.subject = "rsa", .names = "DNS:rsa.example", .rsa = 2048});
    load(&old_key);
    room = tls_room_open(SESSIONS, SHAKING, READING);
    assert_non_null(room);
    clients = SSL_CTX_new(TLS_client_method());
    assert_non_null(clients);
    (void)SSL_CTX_set_max_proto_version(clients, TLS1_2_VERSION);
    return 0;
}

static int end(void **state) {
    (void)state;
    SSL_CTX_free(clients);
    tls_room_close(room);
    tls_end();
    unmake(&old_key);
    unmake(&new_key);
    unmake(&rsa_key);
    return 0;
}

/* ---- What is taken of the pool ---- */

struct taken {
    unsigned sessions, shakes, buffers;
};

static struct taken taken_now(void) {
    struct taken taken = {0};
#ifdef MBEDTLS_CONFIG_FILE
    struct pool_counts counts;

    pool_count(room, &counts);
    taken = (struct taken){SESSIONS - counts.places, SHAKING - counts.shakes,
                           SHAKING + READING - counts.buffers};
#endif
    return taken;
}

static void assert_nothing_taken(void) {
    struct taken taken = taken_now();

    assert_int_equal(taken.sessions, 0);
    assert_int_equal(taken.shakes, 0);
    assert_int_equal(taken.buffers, 0);
}

/* So many sessions rest: that takes places, and nothing else. */
static void assert_resting(unsigned sessions) {
#ifdef MBEDTLS_CONFIG_FILE
    struct taken taken = taken_now();

    assert_int_equal(taken.sessions, sessions);
    assert_int_equal(taken.shakes, 0);
    assert_int_equal(taken.buffers, 0);
#else
    (void)sessions;
#endif
}

/* ---- A client, and what it sends ---- */

struct visit {
    SSL *client; /* over memory: what is in its output is still to be sent */
    struct tls *session;
    int ours, theirs;
    int result;   /* of tls_shake */
    size_t sent;  /* by the client */
    size_t cut;   /* no more is sent than this */
    size_t wrong; /* this one is sent wrongly */
    bool told;    /* the last that came to the client was an alert, not encrypted */
};

static struct visit visit_with(SSL_SESSION *known) {
    struct visit visit = {.result = TLS_READS, .cut = SIZE_MAX, .wrong = SIZE_MAX};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    visit.ours = pair[0];
    visit.theirs = pair[1];
    visit.client = SSL_new(clients);
    assert_non_null(visit.client);
    SSL_set_bio(visit.client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(visit.client);
    if (known != NULL) {
        assert_int_equal(SSL_set_session(visit.client, known), 1);
    }
    visit.session = tls_open(room, visit.ours);
    return visit;
}

static void leave(struct visit *visit) {
    tls_close(visit->session);
    SSL_set_shutdown(visit->client, SSL_SENT_SHUTDOWN); /* its ticket stays good */
    SSL_free(visit->client);
    (void)close(visit->ours);
    (void)close(visit->theirs);
    ERR_clear_error();
}

/* What the client has to say goes to us, up to the byte where it is cut. */
static void carry_to_us(struct visit *visit) {
    char bytes[RECORD];
    int length;

    while ((length = BIO_read(SSL_get_wbio(visit->client), bytes, sizeof bytes)) > 0) {
        size_t left = visit->cut > visit->sent ? visit->cut - visit->sent : 0;
        size_t size = (size_t)length < left ? (size_t)length : left;

        if (visit->wrong >= visit->sent && visit->wrong - visit->sent < size) {
            bytes[visit->wrong - visit->sent] ^= 0x55;
        }
        assert_int_equal(send(visit->theirs, bytes, size, MSG_NOSIGNAL), size);
        visit->sent += size;
    }
}

static void carry_to_client(struct visit *visit) {
    char bytes[RECORD];
    ssize_t length;

    while ((length = recv(visit->theirs, bytes, sizeof bytes, 0)) > 0) {
        assert_int_equal(BIO_write(SSL_get_rbio(visit->client), bytes, (int)length), length);
        visit->told = length >= ALERT && bytes[length - ALERT] == SSL3_RT_ALERT;
    }
}

/* Each side goes on as far as it can. Are both done? */
static bool shake_once(struct visit *visit) {
    bool done = SSL_do_handshake(visit->client) == 1;

    ERR_clear_error();
    carry_to_us(visit);
    if (done && visit->result == 0) {
        return true;
    }
    visit->result = visit->result == 0 ? 0 : tls_shake(visit->session);
    carry_to_client(visit);
    return false;
}

static void shake(struct visit *visit) {
    for (int i = 0; i < TURNS && visit->result != TLS_FAILS && !shake_once(visit); i++) {
    }
}

static struct visit come(void) {
    struct visit visit = visit_with(NULL);

    assert_non_null(visit.session);
    shake(&visit);
    assert_int_equal(visit.result, 0);
    return visit;
}

/* ---- Tests ---- */

static void assert_echo(struct visit *visit, size_t length, size_t step) {
    static char sent[RECORD], came[RECORD];
    size_t used = 0, back = 0;

    for (size_t i = 0; i < length; i++) {
        sent[i] = (char)(i * 7 + length);
    }
    assert_int_equal(SSL_write(visit->client, sent, (int)length), length);
    carry_to_us(visit);
    while (used < length) {
        int read = tls_read(visit->session, came + used, step);

        assert_true(read > 0);
        used += (size_t)read;
        assert_int_equal(tls_pending(visit->session), used < length);
    }
    assert_memory_equal(came, sent, length);
    assert_int_equal(tls_read(visit->session, came, 1), TLS_READS);
    for (used = 0; used < length;) {
        int written = tls_write(visit->session, sent + used, length - used);

        assert_true(written > 0);
        used += (size_t)written;
        carry_to_client(visit);
    }
    for (int read = 1; read > 0 && back<length; back += read> 0 ? (size_t)read : 0) {
        read = SSL_read(visit->client, came + back, (int)(length - back));
    }
    assert_int_equal(back, length);
    assert_memory_equal(came, sent, length);
}

static void bytes_of_any_number(void **state) {
    static const size_t lengths[] = {1, 2, 100, 4095, 4096, 4097, 10000, RECORD};
    struct visit visit = come();

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_echo(&visit, lengths[i], lengths[i]);
        assert_echo(&visit, lengths[i], lengths[i] / 3 + 1);
        assert_resting(1);
    }
    leave(&visit);
    assert_nothing_taken();
}

static void ends_are_told(void **state) {
    struct visit visit = come();
    char byte;

    (void)state;
    tls_bye(visit.session);
    carry_to_client(&visit);
    assert_int_equal(SSL_read(visit.client, &byte, 1), 0);
    assert_int_equal(SSL_get_error(visit.client, 0), SSL_ERROR_ZERO_RETURN);
    (void)SSL_shutdown(visit.client);
    carry_to_us(&visit);
    assert_int_equal(tls_read(visit.session, &byte, 1), 0);
    leave(&visit);

    visit = come(); /* without a word: where a body ends is in its headers */
    assert_int_equal(shutdown(visit.theirs, SHUT_WR), 0);
    assert_int_equal(tls_read(visit.session, &byte, 1), 0);
    leave(&visit);
    assert_nothing_taken();
}

/* A record of which a part has come is read on when the rest is there. */
static void a_record_in_parts(void **state) {
    struct visit visit = come();
    char bytes[1000];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    visit.cut = visit.sent + 500;
    assert_int_equal(SSL_write(visit.client, bytes, sizeof bytes), sizeof bytes);
    carry_to_us(&visit);
    assert_int_equal(tls_read(visit.session, bytes, sizeof bytes), TLS_READS);
    assert_true(tls_pending(visit.session));
    leave(&visit);
    assert_nothing_taken();
}

/* ---- Many peers at once, each at a step of its own ---- */

enum {
    PEERS = 24,
    SIZE = 600,    /* bytes that a client may send in a handshake, and more */
    SLACK = 131072 /* bytes that glibc may keep for another time */
};

struct peer {
    struct visit visit;
    bool here, done;
    unsigned turns; /* then it goes, whatever it has come to */
};

static struct peer peers[PEERS];
static uint64_t chance;
static struct { unsigned whole, resumed, broken, refused; } came_to;

/* Is there room for one more handshake? */
static bool has_room(void) {
#ifdef MBEDTLS_CONFIG_FILE
    struct taken taken = taken_now();

    return taken.sessions < SESSIONS && taken.shakes < SHAKING && taken.buffers < SHAKING + READING;
#else
    return true;
#endif
}

static void arrive(struct peer *peer, const SSL_SESSION *known) {
    SSL_SESSION *own = below(&chance, 2) > 0 ? SSL_SESSION_dup(known) : NULL; /* may be spoiled */
    bool expected = has_room();

    *peer = (struct peer){.visit = visit_with(own), .here = true, .turns = below(&chance, 12)};
    SSL_SESSION_free(own);
    assert_int_equal(peer->visit.session != NULL, expected);
    came_to.refused += !expected;
    switch (below(&chance, 6)) {
    case 0:
        peer->visit.cut = below(&chance, SIZE);
        break;
    case 1:
        peer->visit.wrong = below(&chance, SIZE);
        break;
    default:
        break;
    }
}

static void part(struct peer *peer) {
    bool good = peer->done;

    came_to.whole += good;
    came_to.resumed += good && SSL_session_reused(peer->visit.client);
    came_to.broken += !good && peer->visit.session != NULL;
    leave(&peer->visit);
    peer->here = false;
}

static void have_turn(struct peer *peer, const SSL_SESSION *known) {
    struct visit *visit = &peer->visit;

    if (!peer->here) {
        arrive(peer, known);
    } else if (visit->session == NULL || visit->result == TLS_FAILS || peer->turns-- == 0) {
        part(peer);
    } else if (!peer->done) {
        peer->done = shake_once(visit);
    } else if (visit->cut == SIZE_MAX && visit->wrong == SIZE_MAX) {
        assert_echo(visit, 1 + below(&chance, 5000), 1000);
    }
}

/* What this process has on the heap. */
static size_t heap(void) {
#ifdef __GLIBC__
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

static void come_and_go(unsigned handshakes, const SSL_SESSION *known) {
    memset(&came_to, 0, sizeof came_to);
    while (came_to.whole + came_to.broken < handshakes) {
        have_turn(&peers[below(&chance, PEERS)], known);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        if (peers[i].here) {
            part(&peers[i]);
        }
    }
    assert_nothing_taken();
}

/* Whole, resumed, cut off, lied to and refused, in any order: nothing is left of any, and each that
 * finds room has it. CMCWH_HANDSHAKES: how many (1200). */
static void many_peers(void **state) {
    const char *given = getenv("CMCWH_HANDSHAKES");
    unsigned handshakes = given == NULL ? 1200 : (unsigned)strtoul(given, NULL, 10);
    struct visit visit = come();
    SSL_SESSION *known = SSL_get1_session(visit.client);
    size_t before;

    (void)state;
    leave(&visit);
    chance = 1;
    come_and_go(handshakes / 3, known); /* what is made once is there */
    before = heap();
    come_and_go(handshakes - handshakes / 3, known);
    assert_true(heap() <= before + SLACK);
    assert_true(came_to.resumed > handshakes / 20);
    assert_true(came_to.whole - came_to.resumed > handshakes / 20);
    assert_true(came_to.broken > handshakes / 20);
#ifdef MBEDTLS_CONFIG_FILE
    assert_true(came_to.refused > handshakes / 20);
#endif
    SSL_SESSION_free(known);
}

/* At each byte of a handshake: the client hangs up, or is closed on, or sends a wrong byte. */
static void ends_at_any_byte(void **state) {
    enum { HEADER = 5 /* bytes: the version in the first one of a client means nothing */ };
    struct visit visit = come();
    size_t whole;

    (void)state;
    whole = visit.sent;
    leave(&visit);
    for (size_t cut = 0; cut < whole; cut++) {
        visit = visit_with(NULL);
        assert_non_null(visit.session);
        *(cut % 3 == 2 ? &visit.wrong : &visit.cut) = cut;
        shake(&visit);
        assert_true(visit.result != 0 || (cut == visit.wrong && cut < HEADER));
        assert_true(visit.result != TLS_FAILS || visit.told || tls_alert(visit.session) != NULL);
        if (cut % 3 == 0) {
            assert_int_equal(shutdown(visit.theirs, SHUT_WR), 0);
            assert_int_equal(tls_shake(visit.session), TLS_FAILS);
        }
        leave(&visit);
        assert_nothing_taken();
    }
}

/* Warnings say nothing that matters: some are passed over, but whoever sends no end of them is not
 * read to their end, which would take a thread. */
static void no_end_of_warnings(void **state) {
    static const char warning[] = {21, 3, 3, 0, 2, 1, 90 /* it has been cancelled */};
    enum { FEW = 2, MANY = 1000 };
    static char all[MANY * sizeof warning];
    struct visit visit;

    (void)state;
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = warning[i % sizeof warning];
    }
    for (size_t count = FEW; count <= MANY; count += MANY - FEW) {
        int left = 0;

        visit = visit_with(NULL);
        assert_non_null(visit.session);
        assert_false(shake_once(&visit));
        assert_int_equal(visit.result, TLS_READS);
        assert_int_equal(send(visit.theirs, all, count * sizeof warning, 0),
                         count * sizeof warning);
        shake(&visit);
        assert_int_equal(visit.result, count == FEW ? 0 : TLS_FAILS);
        assert_int_equal(ioctl(visit.ours, FIONREAD, &left), 0);
        assert_int_equal(left > 0, count > FEW);
        leave(&visit);
    }
    assert_nothing_taken();
}

/* Whose record is none is told so, as in a handshake. */
static void a_record_that_is_none(void **state) {
    static const char record[] = {24 /* a heartbeat */, 3, 3, 0, 3, 1, 0x40, 0};
    struct visit visit = come();
    char byte;

    (void)state;
    assert_int_equal(send(visit.theirs, record, sizeof record, 0), sizeof record);
    assert_int_equal(tls_read(visit.session, &byte, 1), TLS_FAILS);
    carry_to_client(&visit);
    assert_true(SSL_read(visit.client, &byte, 1) <= 0);
    assert_true(ERR_GET_REASON(ERR_peek_error()) > SSL_AD_REASON_OFFSET);
    leave(&visit);
    assert_nothing_taken();
}

static void resumes(struct visit *visit, SSL_SESSION *known, bool expected) {
    *visit = visit_with(known);
    assert_non_null(visit->session);
    shake(visit);
    assert_int_equal(visit->result, 0);
    assert_int_equal(SSL_session_reused(visit->client), expected);
}

/* By its ticket, which is believed to the last bit. */
static void sessions_are_resumed(void **state) {
    struct visit visit = come();
    SSL_SESSION *known = SSL_get1_session(visit.client);

    (void)state;
    assert_true(SSL_SESSION_has_ticket(known));
    assert_true(SSL_SESSION_get_ticket_lifetime_hint(known) >= 3600);
    leave(&visit);
    for (int i = 0; i < 3; i++) {
        resumes(&visit, known, true);
        assert_echo(&visit, 1000, 1000);
        assert_resting(1);
        leave(&visit);
        assert_nothing_taken();
    }
    load(&new_key);
    resumes(&visit, known, true); /* its key is not the certificate's */
    leave(&visit);
    SSL_SESSION_free(known);
    load(&old_key);
}

static bool shows(const struct visit *visit, const struct made *made) {
    X509 *shown = SSL_get1_peer_certificate(visit->client);
    bool same = X509_cmp(shown, made->certificate) == 0;

    X509_free(shown);
    return same;
}

/* One is read anew while handshakes are under way: they end as they began, or with the new one as a
 * whole; those that come then have the new one. */
static void another_certificate(void **state) {
    struct visit first = visit_with(NULL), later;

    (void)state;
    (void)SSL_do_handshake(first.client);
    carry_to_us(&first);
    first.result = tls_shake(first.session);
    assert_int_equal(first.result, TLS_READS);
    load(&new_key);
    assert_true(tls_names("new.example"));
    assert_false(tls_names("old.example"));
    later = come();
    assert_true(shows(&later, &new_key));
    shake(&first);
    assert_int_equal(first.result, 0);
    assert_true(shows(&first, &old_key));
    leave(&first);
    leave(&later);
    load(&rsa_key);
    later = come();
    assert_true(shows(&later, &rsa_key));
    leave(&later);
    assert_nothing_taken();
    load(&old_key);
}

static void older_versions(void **state) {
    struct visit visit;

    (void)state;
    (void)SSL_CTX_set_min_proto_version(clients, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(clients, TLS1_1_VERSION);
    SSL_CTX_set_security_level(clients, 0);
    visit = visit_with(NULL);
    shake(&visit);
    assert_int_equal(visit.result, TLS_FAILS);
    leave(&visit);
    SSL_CTX_set_security_level(clients, 1);
    (void)SSL_CTX_set_max_proto_version(clients, TLS1_2_VERSION);
    assert_nothing_taken();
}

static void every_cipher(void **state) {
    static const char *const ciphers[] = {"AES128-GCM-SHA256", "AES256-GCM-SHA384",
                                          "CHACHA20-POLY1305"};
    static const char *const groups[][3] = {{"X25519:P-256", "P-256", "P-521:P-256"},
                                            {"X25519", "P-521:P-256", "P-384"}};

    (void)state;
    for (size_t i = 0; i < 2 * 3 * 3; i++) {
        bool rsa = i % 2 == 1;
        char name[64];
        struct visit visit;

        load(rsa ? &rsa_key : &old_key);
        (void)snprintf(name, sizeof name, "ECDHE-%s-%s", rsa ? "RSA" : "ECDSA", ciphers[i / 2 % 3]);
        assert_int_equal(SSL_CTX_set_cipher_list(clients, name), 1);
        assert_int_equal(SSL_CTX_set1_groups_list(clients, groups[rsa][i / 6]), 1);
        visit = come();
        assert_echo(&visit, 5000, 700);
        assert_resting(1);
        leave(&visit);
        assert_nothing_taken();
    }
    assert_int_equal(SSL_CTX_set_cipher_list(clients, "DEFAULT"), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(clients, "X25519:P-256"), 1);
    load(&old_key);
}

static void no_other_ciphers(void **state) {
    static const char *const refused[] = {"AES128-SHA256", "ECDHE-ECDSA-AES128-SHA256",
                                          "AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"};

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct visit visit;

        assert_int_equal(SSL_CTX_set_cipher_list(clients, refused[i]), 1);
        visit = visit_with(NULL);
        shake(&visit);
        assert_int_equal(visit.result, TLS_FAILS);
        leave(&visit);
    }
    assert_int_equal(SSL_CTX_set_cipher_list(clients, "DEFAULT"), 1);
    assert_nothing_taken();
}

/* A client may not begin again within a connection. */
static void no_renegotiation(void **state) {
    struct visit visit = come();
    char byte;

    (void)state;
    assert_int_equal(SSL_renegotiate(visit.client), 1);
    (void)SSL_do_handshake(visit.client);
    carry_to_us(&visit);
    assert_true(tls_read(visit.session, &byte, 1) < 0);
    carry_to_client(&visit);
    assert_int_not_equal(SSL_do_handshake(visit.client), 1);
    leave(&visit);
    assert_nothing_taken();
}

#ifdef MBEDTLS_CONFIG_FILE
/* Who finds no place is refused, and all others go on. */
static void more_than_fit(void **state) {
    struct visit resting[SESSIONS], shaking[SHAKING], one_more;

    (void)state;
    for (int i = 0; i < SHAKING; i++) {
        shaking[i] = visit_with(NULL);
        assert_non_null(shaking[i].session);
    }
    one_more = visit_with(NULL);
    assert_null(one_more.session);
    leave(&one_more);
    for (int i = 0; i < SHAKING; i++) {
        shake(&shaking[i]);
        assert_int_equal(shaking[i].result, 0);
    }
    assert_resting(SHAKING);
    for (int i = SHAKING; i < SESSIONS; i++) {
        resting[i] = come();
    }
    one_more = visit_with(NULL);
    assert_null(one_more.session);
    leave(&one_more);
    for (int i = 0; i < SESSIONS; i++) {
        struct visit *visit = i < SHAKING ? &shaking[i] : &resting[i];

        assert_echo(visit, 100, 100);
        leave(visit);
    }
    assert_nothing_taken();
}

/* Those who hold buffers can keep others from reading, but for no longer than they do. */
static void no_buffers(void **state) {
    struct visit all[SESSIONS];
    char byte, two[2] = {'x', 'y'};

    (void)state;
    for (int i = 0; i < SESSIONS; i++) {
        all[i] = come();
    }
    for (int i = 0; i < SESSIONS; i++) {
        assert_int_equal(SSL_write(all[i].client, two, sizeof two), sizeof two);
        carry_to_us(&all[i]);
        assert_int_equal(tls_read(all[i].session, &byte, 1), i < SHAKING + READING ? 1 : TLS_FAILS);
    }
    for (int i = 0; i < SESSIONS; i++) {
        leave(&all[i]);
    }
    assert_nothing_taken();
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_any_number),
        cmocka_unit_test(ends_are_told),
        cmocka_unit_test(a_record_in_parts),
        cmocka_unit_test(ends_at_any_byte),
        cmocka_unit_test(many_peers),
        cmocka_unit_test(no_end_of_warnings),
        cmocka_unit_test(a_record_that_is_none),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(another_certificate),
        cmocka_unit_test(older_versions),
        cmocka_unit_test(every_cipher),
        cmocka_unit_test(no_other_ciphers),
        cmocka_unit_test(no_renegotiation),
#ifdef MBEDTLS_CONFIG_FILE
        cmocka_unit_test(more_than_fit),
        cmocka_unit_test(no_buffers),
#endif
    };

    return cmocka_run_group_tests(tests, begin, end);
}
