/* There is no access log: what is refused is said by the server. Included by civetweb, which without a
 * file system leaves this to us. */
static void log_access(const struct mg_connection *conn) {
    (void)conn;
}
