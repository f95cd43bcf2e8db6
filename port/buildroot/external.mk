include $(sort $(wildcard $(BR2_EXTERNAL_CMCWH_PATH)/package/*/*.mk))
