/* What a server is not started with. */
#include "support.h"

static bool wait(void *context, uint32_t ms) {
    (void)context;
    (void)ms;
    return false;
}

/* Answers that must wait for a sink or a storage need a port that can wait. */
static void port_must_wait(void **state) {
    static const struct cmcwh_storage storage = {0};
    static struct fixture f;
    static struct cmcwh_server server;
    struct cmcwh_server_config config = {.ring = &f.ring, .path = "/mails", .body_max = 65536};

    (void)state;
    fixture_init(&f, 4, false);
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_OK);
    f.ring.config.storage = &storage;
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_ERR_ARGUMENT);
    f.port.wait = wait;
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_OK);
    fixture_init(&f, 4, true);
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_ERR_ARGUMENT);
    f.port.wait = wait;
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(port_must_wait)};

    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
