#include "support.h"

#include "certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static void add_extension(const struct made *made, const struct plan *plan, int nid,
                          const char *value) {
    X509 *certificate = made->certificate;
    X509_EXTENSION *extension;
    X509V3_CTX context;

    if (value != NULL) {
        X509V3_set_ctx(&context, plan->issuer == NULL ? certificate : plan->issuer->certificate,
                       certificate, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        assert_non_null(extension);
        assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
}

static void name(X509 *certificate, const struct plan *plan) {
    X509_NAME *subject = X509_get_subject_name(certificate);
    const char *text = plan->subject == NULL ? "test" : plan->subject;

    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)text, -1, -1, 0),
                     1);
    assert_int_equal(
        X509_set_issuer_name(certificate, plan->issuer == NULL
                                              ? subject
                                              : X509_get_subject_name(plan->issuer->certificate)),
        1);
}

struct made make(const struct plan *plan) {
    static long serial = 1000;
    struct made made = {.key =
                            plan->rsa > 0 ? EVP_RSA_gen((unsigned)plan->rsa) : EVP_EC_gen("P-256"),
                        .certificate = X509_new()};
    X509 *certificate = made.certificate;

    assert_true(made.key != NULL && certificate != NULL);
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate),
                          plan->begins == 0 ? -3600 : plan->begins);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate),
                          plan->ends == 0 ? 30 * 86400L : plan->ends);
    name(certificate, plan);
    assert_int_equal(X509_set_pubkey(certificate, made.key), 1);
    add_extension(&made, plan, NID_subject_key_identifier, "hash");
    add_extension(&made, plan, NID_authority_key_identifier, "keyid:always");
    add_extension(&made, plan, NID_subject_alt_name, plan->names);
    add_extension(&made, plan, NID_basic_constraints, plan->constraints);
    add_extension(&made, plan, NID_ext_key_usage, plan->usage);
    assert_true(X509_sign(certificate, plan->issuer == NULL ? made.key : plan->issuer->key,
                          plan->sha1 ? EVP_sha1() : EVP_sha256()) > 0);
    return made;
}

void unmake(struct made *made) {
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
}

static void add(char *text, BIO *bio) {
    size_t used = strlen(text);
    int length = BIO_read(bio, text + used, (int)(PEM_MOST - used - 1));

    assert_true(length > 0);
    text[used + (size_t)length] = '\0';
    (void)BIO_free(bio);
}

void add_certificate(char *text, const struct made *made) {
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_X509(bio, made->certificate), 1);
    add(text, bio);
}

void add_key(char *text, const struct made *made, bool locked) {
    static char word[] = "word";
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(bio, made->key, locked ? EVP_aes_128_cbc() : NULL,
                                              NULL, 0, NULL, locked ? word : NULL),
                     1);
    add(text, bio);
}
