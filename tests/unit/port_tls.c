/* A session with a peer that must prove who it is, played by OpenSSL over a pair of sockets: what
 * is believed, whatever library the port has. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificate.h"
#include "said.h"
#include "tls/client.h"

enum { DAY = 86400 };

/* What a peer shows, first to last. */
struct shown {
    const struct made *all[12];
};

static struct { struct made root, middle, leaf, stranger; } they;

static int make_them(void **state) {
    (void)state;
    they.root = make(&(struct plan){.subject = "root", .constraints = "critical,CA:TRUE"});
    they.middle = make(&(struct plan){
        .subject = "middle", .issuer = &they.root, .constraints = "critical,CA:TRUE"});
    they.leaf = make(&(struct plan){
        .subject = "leaf", .issuer = &they.middle, .names = "DNS:host.example,IP:192.0.2.1"});
    they.stranger = make(&(struct plan){.subject = "root", .constraints = "critical,CA:TRUE"});
    return 0;
}

static int unmake_them(void **state) {
    (void)state;
    unmake(&they.root);
    unmake(&they.middle);
    unmake(&they.leaf);
    unmake(&they.stranger);
    return 0;
}

/* A file with one or two certificates; NULL: without. */
static const char *file_with(const struct made *first, const struct made *second) {
    char text[PEM_MOST] = "# who is believed\n";

    add_certificate(text, first);
    if (second != NULL) {
        add_certificate(text, second);
    }
    return file_of(text, strlen(text), 0644);
}

/* ---- The peer ---- */

static SSL_CTX *peer_showing(const struct shown *shown) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    assert_non_null(context);
    SSL_CTX_set_security_level(context, 0);
    assert_int_equal(SSL_CTX_use_certificate(context, shown->all[0]->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, shown->all[0]->key), 1);
    for (size_t i = 1; shown->all[i] != NULL; i++) {
        assert_int_equal(SSL_CTX_add1_chain_cert(context, shown->all[i]->certificate), 1);
    }
    return context;
}

static SSL *peer_at(SSL_CTX *context, int socket) {
    SSL *peer = SSL_new(context);

    assert_non_null(peer);
    assert_int_equal(SSL_set_fd(peer, socket), 1);
    SSL_set_accept_state(peer);
    return peer;
}

/* Both go on as far as they can, by turns. */
struct call {
    enum tls_doubt doubt;
    const char *why;
    int result; /* of tls_call_shake */
    char asked[64];
};

static void go_on(struct tls *session, SSL *peer, struct call *call) {
    for (int i = 0; i < 50 && call->result != 0 && call->result != TLS_FAILS; i++) {
        call->result = tls_call_shake(session, &call->doubt, &call->why);
        (void)SSL_do_handshake(peer);
        ERR_clear_error();
    }
}

static struct call call_peer(const struct tls_trust *trust, SSL_CTX *context, const char *host) {
    struct call call = {.result = TLS_READS, .why = "nothing is wrong"};
    struct tls *session;
    int pair[2];
    SSL *peer;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    peer = peer_at(context, pair[0]);
    session = tls_call(trust, pair[1], host);
    assert_non_null(session);
    go_on(session, peer, &call);
    if (SSL_get_servername(peer, TLSEXT_NAMETYPE_host_name) != NULL) {
        (void)snprintf(call.asked, sizeof call.asked, "%s",
                       SSL_get_servername(peer, TLSEXT_NAMETYPE_host_name));
    }
    tls_close(session);
    SSL_free(peer);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return call;
}

/* ---- What is believed ---- */

static struct call call_with(const char *ca, const struct shown *shown, const char *host) {
    struct tls_trust *trust = tls_trust_open("ca", ca);
    SSL_CTX *context = peer_showing(shown);
    struct call call;

    assert_non_null(trust);
    call = call_peer(trust, context, host);
    SSL_CTX_free(context);
    tls_trust_close(trust);
    return call;
}

static void assert_doubt_at(int line, const char *ca, const struct shown *shown, const char *host,
                            enum tls_doubt doubt) {
    struct call call = call_with(ca, shown, host);

    if (call.result != TLS_FAILS || call.doubt != doubt) {
        print_error("%s: %d, %d: %s\n", host, call.result, (int)call.doubt, call.why);
        _fail(__FILE__, line);
    }
    assert_non_null(call.why);
}

static void assert_believed_at(int line, const char *ca, const struct shown *shown,
                               const char *host) {
    struct call call = call_with(ca, shown, host);

    if (call.result != 0) {
        print_error("%s: %s\n", host, call.why);
        _fail(__FILE__, line);
    }
}

#define assert_doubt(...)    assert_doubt_at(__LINE__, __VA_ARGS__)
#define assert_believed(...) assert_believed_at(__LINE__, __VA_ARGS__)

static void chains(void **state) {
    const struct shown whole = {{&they.leaf, &they.middle}}, alone = {{&they.leaf}},
                       mixed = {{&they.leaf, &they.root, &they.stranger, &they.middle}},
                       strange = {{&they.leaf, &they.middle, &they.stranger}};
    const char *root = file_with(&they.root, NULL);

    (void)state;
    assert_believed(root, &whole, "host.example");
    assert_believed(root, &mixed, "host.example");
    assert_believed(root, &strange, "host.example");
    assert_doubt(root, &alone, "host.example", TLS_DOUBT_TRUST);
    assert_believed(file_with(&they.stranger, &they.root), &whole, "host.example");
    assert_believed(file_with(&they.middle, NULL), &whole, "host.example");
    assert_believed(file_with(&they.middle, NULL), &alone, "host.example");
    assert_doubt(file_with(&they.stranger, NULL), &whole, "host.example", TLS_DOUBT_TRUST);
    assert_doubt(file_with(&they.stranger, NULL), &strange, "host.example", TLS_DOUBT_TRUST);
}

/* Who is given the peer's own certificate believes it, whoever has signed that; not those that it
 * has signed. */
static void own_certificate(void **state) {
    const struct shown whole = {{&they.leaf, &they.middle}}, alone = {{&they.leaf}};
    struct made self = make(&(struct plan){.subject = "host.example"}),
                other = make(&(struct plan){.subject = "host.example"}),
                below = make(&(struct plan){.subject = "host.example", .issuer = &they.leaf});

    (void)state;
    assert_believed(file_with(&they.leaf, NULL), &whole, "host.example");
    assert_believed(file_with(&they.leaf, NULL), &alone, "host.example");
    assert_believed(file_with(&self, NULL), &(struct shown){{&self}}, "host.example");
    assert_doubt(file_with(&other, NULL), &(struct shown){{&self}}, "host.example",
                 TLS_DOUBT_TRUST);
    assert_doubt(file_with(&they.leaf, NULL), &(struct shown){{&below, &they.leaf}}, "host.example",
                 TLS_DOUBT_TRUST);
    assert_doubt(file_with(&they.root, NULL), &(struct shown){{&below, &they.leaf, &they.middle}},
                 "host.example", TLS_DOUBT_TRUST);
    unmake(&self);
    unmake(&other);
    unmake(&below);
}

static void times(void **state) {
    const struct plan late = {.subject = "host.example",
                              .issuer = &they.root,
                              .begins = -DAY,
                              .ends = -60},
                      early = {.subject = "host.example", .issuer = &they.root, .begins = 3600};
    struct made old = make(&late), soon = make(&early),
                dead = make(&(struct plan){.subject = "dead",
                                           .constraints = "critical,CA:TRUE",
                                           .begins = -DAY,
                                           .ends = -60}),
                below = make(&(struct plan){.subject = "host.example", .issuer = &dead});
    const char *root = file_with(&they.root, NULL);

    (void)state;
    assert_doubt(root, &(struct shown){{&old}}, "host.example", TLS_DOUBT_TIME);
    assert_doubt(root, &(struct shown){{&soon}}, "host.example", TLS_DOUBT_TIME);
    assert_doubt(file_with(&old, NULL), &(struct shown){{&old}}, "host.example", TLS_DOUBT_TIME);
    assert_doubt(file_with(&dead, NULL), &(struct shown){{&below}}, "host.example", TLS_DOUBT_TIME);
    assert_doubt(root, &(struct shown){{&old}}, "other.example", TLS_DOUBT_NAME);
    assert_doubt(file_with(&they.stranger, NULL), &(struct shown){{&old}}, "other.example",
                 TLS_DOUBT_TRUST);
    unmake(&old);
    unmake(&soon);
    unmake(&dead);
    unmake(&below);
}

static void constraints(void **state) {
    struct made
        narrow =
            make(&(struct plan){.subject = "narrow", .constraints = "critical,CA:TRUE,pathlen:0"}),
        middle = make(&(struct plan){
            .subject = "below", .issuer = &narrow, .constraints = "critical,CA:TRUE"}),
        leaf = make(&(struct plan){.subject = "host.example", .issuer = &middle}),
        direct = make(&(struct plan){.subject = "host.example", .issuer = &narrow}),
        client = make(
            &(struct plan){.subject = "host.example", .issuer = &they.root, .usage = "clientAuth"}),
        server = make(
            &(struct plan){.subject = "host.example", .issuer = &they.root, .usage = "serverAuth"}),
        weak = make(&(struct plan){.subject = "host.example", .issuer = &they.root, .rsa = 1024}),
        strong = make(&(struct plan){.subject = "host.example", .issuer = &they.root, .rsa = 2048}),
        digest =
            make(&(struct plan){.subject = "host.example", .issuer = &they.root, .sha1 = true});
    const char *root = file_with(&they.root, NULL), *few = file_with(&narrow, NULL);

    (void)state;
    assert_believed(few, &(struct shown){{&direct}}, "host.example");
    assert_doubt(few, &(struct shown){{&leaf, &middle}}, "host.example", TLS_DOUBT_TRUST);
    assert_believed(root, &(struct shown){{&server}}, "host.example");
    assert_doubt(root, &(struct shown){{&client}}, "host.example", TLS_DOUBT_TRUST);
    assert_believed(root, &(struct shown){{&strong}}, "host.example");
    assert_doubt(root, &(struct shown){{&weak}}, "host.example", TLS_DOUBT_TRUST);
    assert_doubt(root, &(struct shown){{&digest}}, "host.example", TLS_DOUBT_TRUST);
    unmake(&narrow);
    unmake(&middle);
    unmake(&leaf);
    unmake(&direct);
    unmake(&client);
    unmake(&server);
    unmake(&weak);
    unmake(&strong);
    unmake(&digest);
}

/* ---- For whom it is ---- */

static void names(void **state) {
    static const struct {
        const char *subject, *names, *host;
        bool right;
    } all[] = {
        {"x", "DNS:a.example", "a.example", true},
        {"x", "DNS:a.example", "A.Example", true},
        {"x", "DNS:a.example,DNS:b.example", "b.example", true},
        {"x", "DNS:a.example", "b.example", false},
        {"x", "DNS:a.example", "a.example.evil", false},
        {"x", "DNS:a.example", "xa.example", false},
        {"x", "DNS:a.example", "a.example.", false},
        {"x", "DNS:*.example.org", "a.example.org", true},
        {"x", "DNS:*.example.org", "a-1.EXAMPLE.org", true},
        {"x", "DNS:*.example.org", "a.b.example.org", false},
        {"x", "DNS:*.example.org", "example.org", false},
        {"x", "DNS:*.example.org", ".example.org.x", false},
        {"x", "DNS:*.org", "example.org", false},
        {"x", "DNS:*", "example", false},
        {"x", "DNS:a*.example.org", "ab.example.org", false},
        {"x", "DNS:*a.example.org", "ba.example.org", false},
        {"x", "DNS:a.*.example.org", "a.b.example.org", false},
        {"x", "DNS:*.*.example.org", "a.b.example.org", false},
        {"x", "IP:192.0.2.1", "192.0.2.1", true},
        {"x", "IP:192.0.2.1", "192.0.2.2", false},
        {"x", "IP:2001:db8::1", "2001:db8:0::1", true},
        {"x", "IP:2001:db8::1", "2001:db8::2", false},
        {"x", "DNS:192.0.2.1", "192.0.2.1", false},
        {"x", "DNS:*.0.2.1", "192.0.2.1", false},
        {"x", "DNS:a.example,IP:192.0.2.1", "192.0.2.1", true},
        {"x", "email:a@a.example", "a.example", false},
        {"a.example", NULL, "a.example", true},
        {"*.example.org", NULL, "a.example.org", true},
        {"a.example", "DNS:b.example", "a.example", false},
        {"a.example", "IP:192.0.2.1", "a.example", true},
        {"192.0.2.1", NULL, "192.0.2.1", false},
        {"192.0.2.1", "DNS:a.example", "192.0.2.1", false},
    };
    const char *root = file_with(&they.root, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct made made = make(
            &(struct plan){.subject = all[i].subject, .issuer = &they.root, .names = all[i].names});
        struct call call = call_with(root, &(struct shown){{&made}}, all[i].host);

        if ((call.result == 0) != all[i].right) {
            fail_msg("%s: CN=%s, %s: %s", all[i].host, all[i].subject, all[i].names, call.why);
        }
        assert_true(all[i].right || call.doubt == TLS_DOUBT_NAME);
        unmake(&made);
    }
}

/* A name is asked for, an address is not. */
static void asked_for(void **state) {
    const char *root = file_with(&they.root, NULL);
    const struct shown whole = {{&they.leaf, &they.middle}};

    (void)state;
    assert_string_equal(call_with(root, &whole, "host.example").asked, "host.example");
    assert_string_equal(call_with(root, &whole, "192.0.2.1").asked, "");
    assert_int_equal(call_with(root, &whole, "192.0.2.1").result, 0);
}

/* ---- The system's ---- */

static char directory[] = "/tmp/cmcwh-test-XXXXXX";

/* What it is named by there. */
static void link_to(const char *file, const struct made *made, char path[96]) {
    (void)snprintf(path, 96, "%s/%08lx.0", directory,
                   X509_NAME_hash(X509_get_subject_name(made->certificate)));
    assert_int_equal(symlink(file, path), 0);
}

static void system_of(const char *file, const char *directories) {
    assert_int_equal(setenv("SSL_CERT_FILE", file, 1), 0);
    assert_int_equal(setenv("SSL_CERT_DIR", directories, 1), 0);
}

static void whom_the_system_trusts(void **state) {
    const struct shown whole = {{&they.leaf, &they.middle}}, alone = {{&they.leaf}};
    const char *root = file_with(&they.stranger, &they.root), *leaf = file_with(&they.leaf, NULL);
    char path[96], paths[160];

    (void)state;
    system_of(root, "/nowhere");
    assert_believed(NULL, &whole, "host.example");
    assert_doubt(NULL, &alone, "host.example", TLS_DOUBT_TRUST);
    assert_doubt(NULL, &whole, "other.example", TLS_DOUBT_NAME);
    system_of("/nowhere", "/nowhere");
    assert_doubt(NULL, &whole, "host.example", TLS_DOUBT_TRUST);
    system_of(leaf, "/nowhere");
    assert_believed(NULL, &alone, "host.example");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(paths, sizeof paths, "/nowhere:%s", directory);
    link_to(root, &they.root, path);
    system_of("/nowhere", paths);
    assert_believed(NULL, &whole, "host.example");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
    assert_doubt(NULL, &whole, "host.example", TLS_DOUBT_TRUST);
}

static void not_certificates(void **state) {
    char text[PEM_MOST] = "", cut[2 * PEM_MOST];

    (void)state;
    add_certificate(text, &they.root);
    (void)snprintf(cut, sizeof cut, "%s%.*s", text, (int)strlen(text) - 30, text);
    assert_null(tls_trust_open("ca", file_of(cut, strlen(cut), 0644)));
    assert_said("expected certificates in PEM");
    (void)snprintf(cut, sizeof cut,
                   "%s-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", text);
    assert_null(tls_trust_open("ca", file_of(cut, strlen(cut), 0644)));
    assert_said("expected certificates in PEM");
    assert_null(tls_trust_open("ca", file_of("", 0, 0644)));
    assert_said("expected certificates in PEM");
}

/* ---- A peer that goes wrong ---- */

static void assert_fails(const char *greeting) {
    struct tls_trust *trust = tls_trust_open("ca", file_with(&they.root, NULL));
    enum tls_doubt doubt = TLS_DOUBT_NAME;
    const char *why = NULL;
    struct tls *session;
    int pair[2], result = TLS_READS;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    session = tls_call(trust, pair[1], "host.example");
    assert_non_null(session);
    assert_int_equal(tls_call_shake(session, &doubt, &why), TLS_READS);
    assert_int_equal(write(pair[0], greeting, strlen(greeting)), strlen(greeting));
    (void)shutdown(pair[0], SHUT_WR);
    for (int i = 0; i < 5 && result == TLS_READS; i++) {
        result = tls_call_shake(session, &doubt, &why);
    }
    assert_int_equal(result, TLS_FAILS);
    assert_int_equal(doubt, TLS_DOUBT_NONE);
    tls_close(session);
    tls_trust_close(trust);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void peers_that_are_none(void **state) {
    (void)state;
    assert_fails("");
    assert_fails("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_fails("\x16\x03\x03");
    assert_fails("\x15\x03\x03");
}

/* ---- Who we are ---- */

static int see(int right, X509_STORE_CTX *unused) {
    (void)right;
    (void)unused;
    return 1;
}

static void who_we_are(void **state) {
    struct made us = make(&(struct plan){.subject = "us", .issuer = &they.middle});
    struct tls_trust *trust = tls_trust_open("ca", file_with(&they.root, NULL));
    const struct shown whole = {{&they.leaf, &they.middle}};
    SSL_CTX *context = peer_showing(&whole);
    char text[PEM_MOST] = "", key[PEM_MOST] = "";
    struct tls_files files = {.certificate_option = "cert", .key_option = "key"};

    (void)state;
    add_certificate(text, &us);
    add_certificate(text, &they.middle);
    add_key(key, &us, false);
    files.certificate = file_of(text, strlen(text), 0644);
    files.key = file_of(key, strlen(key), 0600);
    assert_true(tls_trust_identify(trust, &files));
    assert_quiet();
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), they.root.certificate),
                     1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_int_equal(call_peer(trust, context, "host.example").result, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, see);
    assert_int_equal(call_peer(trust, context, "host.example").result, 0);
    SSL_CTX_free(context);
    tls_trust_close(trust);
    unmake(&us);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains),
        cmocka_unit_test(own_certificate),
        cmocka_unit_test(times),
        cmocka_unit_test(constraints),
        cmocka_unit_test(names),
        cmocka_unit_test(asked_for),
        cmocka_unit_test(whom_the_system_trusts),
        cmocka_unit_test(not_certificates),
        cmocka_unit_test(peers_that_are_none),
        cmocka_unit_test(who_we_are),
    };

    return cmocka_run_group_tests(tests, make_them, unmake_them);
}
