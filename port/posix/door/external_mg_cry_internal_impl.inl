/* civetweb's messages go to the log_message callback only. Included by civetweb, which without a file
 * system leaves this to us. */
static void mg_cry_internal_impl(const struct mg_connection *conn, const char *func, unsigned line,
                                 const char *fmt, va_list ap) {
    char message[512];

    (void)func;
    (void)line;
    (void)vsnprintf(message, sizeof message, fmt, ap);
    if (conn != NULL && conn->phys_ctx->callbacks.log_message != NULL) {
        (void)conn->phys_ctx->callbacks.log_message(conn, message);
    }
}
