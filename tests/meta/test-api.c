/*
 * test-api.c - a user of the shared library and the public headers alone: every function is there,
 * every constant has its meaning
 *
 * check-symbols.sh demands that every declared function is named here.
 */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <faas/faas.h>

/* Only addresses: what the functions do is tested elsewhere.  A missing one does not link. */
static void (*const volatile functions[])(void) = {
        (void (*)(void))faas_call_fail,
        (void (*)(void))faas_call_id,
        (void (*)(void))faas_call_payload,
        (void (*)(void))faas_call_reserve,
        (void (*)(void))faas_cancel,
        (void (*)(void))faas_client_close,
        (void (*)(void))faas_client_fd,
        (void (*)(void))faas_client_on_done,
        (void (*)(void))faas_client_open,
        (void (*)(void))faas_client_process,
        (void (*)(void))faas_client_stats,
        (void (*)(void))faas_client_workers,
        (void (*)(void))faas_dispatcher_fd,
        (void (*)(void))faas_dispatcher_free,
        (void (*)(void))faas_dispatcher_new,
        (void (*)(void))faas_dispatcher_run,
        (void (*)(void))faas_dispatcher_stats,
        (void (*)(void))faas_dispatcher_step,
        (void (*)(void))faas_dispatcher_stop,
        (void (*)(void))faas_dispatcher_url,
        (void (*)(void))faas_error_text,
        (void (*)(void))faas_id_format,
        (void (*)(void))faas_id_parse,
        (void (*)(void))faas_map,
        (void (*)(void))faas_message_encode,
        (void (*)(void))faas_message_free,
        (void (*)(void))faas_result,
        (void (*)(void))faas_result_clear,
        (void (*)(void))faas_set_log,
        (void (*)(void))faas_status,
        (void (*)(void))faas_strerror,
        (void (*)(void))faas_submit,
        (void (*)(void))faas_submit_many,
        (void (*)(void))faas_transport_error,
        (void (*)(void))faas_transport_register,
        (void (*)(void))faas_version,
        (void (*)(void))faas_wait,
        (void (*)(void))faas_wait_any,
        (void (*)(void))faas_worker_fd,
        (void (*)(void))faas_worker_free,
        (void (*)(void))faas_worker_new,
        (void (*)(void))faas_worker_run,
        (void (*)(void))faas_worker_stats,
        (void (*)(void))faas_worker_step,
        (void (*)(void))faas_worker_stop,
};

/* The numbers are the ABI: a change here breaks programs that were not compiled again. */
static void check_constants(void) {
        static const int errors[] = {
                FAAS_E_AGAIN,     FAAS_E_GONE,        FAAS_E_STALE,   FAAS_E_NOENT,
                FAAS_E_EXISTS,    FAAS_E_LIMIT,       FAAS_E_PROTO,   FAAS_E_TIMEOUT,
                FAAS_E_CANCELLED, FAAS_E_UNAVAILABLE, FAAS_E_UNKNOWN, FAAS_E_VERSION,
                FAAS_E_FORKED,    FAAS_E_FENCED,
        };
        static const int statuses[] = {
                FAAS_QUEUED, FAAS_RUNNING, FAAS_COMPLETED, FAAS_FAILED, FAAS_CANCELLED,
        };
        static const int failures[] = {
                FAAS_FAILURE_NONE,   FAAS_FAILURE_FUNCTION,    FAAS_FAILURE_CRASHED,
                FAAS_FAILURE_EXITED, FAAS_FAILURE_TIMEOUT,     FAAS_FAILURE_WORKER_LOST,
                FAAS_FAILURE_LIMIT,  FAAS_FAILURE_NO_FUNCTION, FAAS_FAILURE_LOST,
        };
        static const int levels[] = {
                FAAS_LOG_ERROR,
                FAAS_LOG_WARNING,
                FAAS_LOG_INFO,
                FAAS_LOG_DEBUG,
        };
        int n;

        for (n = 0; n < (int)(sizeof(errors) / sizeof(int)); n++)
                assert(errors[n] == n + 1);
        assert(n + 1 == _FAAS_E_N);
        for (n = 0; n < (int)(sizeof(statuses) / sizeof(int)); n++)
                assert(statuses[n] == n);
        assert(n == _FAAS_STATUS_N);
        for (n = 0; n < (int)(sizeof(failures) / sizeof(int)); n++)
                assert(failures[n] == n);
        assert(n == _FAAS_FAILURE_N);
        for (n = 0; n < (int)(sizeof(levels) / sizeof(int)); n++)
                assert(levels[n] == n);

        assert(FAAS_PAYLOAD_MAX == 4194304);
        assert(FAAS_NAME_MAX == 64);
        assert(FAAS_TEXT_MAX == 1024);
        assert(FAAS_LOG_MAX == 4096);
        assert(FAAS_ID_TEXT_LEN == 36);
        assert(FAAS_CLIENT_BUILTINS == 1);
        assert(FAAS_MODULE_ABI == 1);
        assert(FAAS_TRANSPORT_VERSION == 1);
        assert(FAAS_FRAMES_MAX == 258);
        assert(FAAS_TRANSPORT_LISTEN == 0 && FAAS_TRANSPORT_CONNECT == 1);
        assert(FAAS_CREDIT_AHEAD == 0 && FAAS_CREDIT_ON_REQUEST == 1);
        assert(FAAS_TRANSPORT_MESSAGE == 0 && FAAS_TRANSPORT_UP == 1 && FAAS_TRANSPORT_DOWN == 2);
}

static void check_version(void) {
        char text[32];

        snprintf(text, sizeof(text), "%d.%d.%d", FAAS_VERSION_MAJOR, FAAS_VERSION_MINOR,
                 FAAS_VERSION_PATCH);
        assert(strcmp(text, FAAS_VERSION_STRING) == 0);
        assert(strcmp(faas_version(), FAAS_VERSION_STRING) == 0);
        assert(strcmp(FAAS_VERSION_STRING, PROJECT_VERSION) == 0);
}

static void check_initialisers(void) {
        struct faas_result result = FAAS_RESULT_INIT;
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_dispatcher_cfg dispatcher = FAAS_DISPATCHER_CFG_INIT;
        struct faas_worker_cfg worker = FAAS_WORKER_CFG_INIT;

        assert(result.status == FAAS_QUEUED && !result.payload && !result.text && !result.owner_);
        assert(cfg.struct_size == sizeof(cfg) && cfg.flags == 0);
        assert(dispatcher.struct_size == sizeof(dispatcher) && dispatcher.flags == 0);
        assert(dispatcher.stop_fd == -1 && dispatcher.window_bytes == 0);
        assert(worker.struct_size == sizeof(worker) && worker.flags == 0);
        assert(worker.stop_fd == -1 && !worker.name);
}

int main(void) {
        for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
                assert(functions[i]);
        check_constants();
        check_version();
        check_initialisers();
        return 0;
}
