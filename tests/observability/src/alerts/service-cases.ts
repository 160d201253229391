/** Sockets, delivery and API. */

import { type Case, fires, quiet } from './case.ts';

const closed = (reason: string): string => `chat_gateway_sockets_closed_total{reason="${reason}"}`;
const gateway = (instance: string): string => `chat_gateway_sockets{instance="${instance}"}`;
const buckets = (metric: string, fastLe: string, slowLe: string, fast: number, all: number) => ({
  [`${metric}_bucket{le="${fastLe}"}`]: `0+${fast}x60`,
  [`${metric}_bucket{le="${slowLe}"}`]: `0+${all}x60`,
  [`${metric}_bucket{le="+Inf"}`]: `0+${all}x60`,
});
const delivery = 'chat_gateway_delivery_duration_seconds';
const api = 'chat_api_request_duration_seconds';

export const serviceCases: readonly Case[] = [
  fires('ChatConnectionsDropped', 'a third is gone', '7m', { [gateway('a')]: '100x24 70x20' }),
  fires('ChatConnectionsDropped', 'one of two gateways vanished', '7m', {
    [gateway('a')]: '100x44',
    [gateway('b')]: '100x24 stale',
  }),
  fires('ChatConnectionsDropped', 'every gateway vanished', '7m', { [gateway('a')]: '100x24 stale' }),
  quiet('ChatConnectionsDropped', 'a sixth is gone', '7m', { [gateway('a')]: '100x24 85x20' }),
  quiet('ChatConnectionsDropped', 'they moved to another gateway', '7m', {
    [gateway('a')]: '100x24 0x20',
    [gateway('b')]: '100x24 200x20',
  }),
  quiet('ChatConnectionsDropped', 'there were hardly any', '7m', { [gateway('a')]: '5x24 1x20' }),

  fires('ChatGatewayConnectionsDropped', 'one gateway lost a third', '7m', {
    [gateway('a')]: '100x24 70x20',
    'chat_gateway_draining{instance="a"}': '0x44',
  }),
  quiet('ChatGatewayConnectionsDropped', 'it is drained', '7m', {
    [gateway('a')]: '100x24 70x20',
    'chat_gateway_draining{instance="a"}': '0x24 1x20',
  }),

  fires('ChatDisconnects', 'a tenth was cut', '5m', {
    [gateway('a')]: '100x40',
    [closed('error')]: '0x16 10x24',
  }),
  quiet('ChatDisconnects', 'clients and a drain closed them', '5m', {
    [gateway('a')]: '100x40',
    [closed('client')]: '0x16 50x24',
    [closed('draining')]: '0x16 50x24',
  }),
  quiet('ChatDisconnects', 'one in a hundred was cut', '5m', {
    [gateway('a')]: '100x40',
    [closed('error')]: '0x16 1x24',
  }),

  fires('ChatReconnectStorm', '12,000 a minute', '3m', { chat_gateway_reconnects_total: '0+3000x20' }),
  quiet('ChatReconnectStorm', '8,000 a minute', '3m', { chat_gateway_reconnects_total: '0+2000x20' }),

  fires('ChatSlowReaders', 'one in ten', '6m', {
    [gateway('a')]: '100x40',
    'chat_gateway_slow_readers{instance="a"}': '10x40',
  }),
  quiet('ChatSlowReaders', 'one in a hundred', '6m', {
    [gateway('a')]: '100x40',
    'chat_gateway_slow_readers{instance="a"}': '1x40',
  }),
  quiet('ChatSlowReaders', 'one in ten for a minute', '6m', {
    [gateway('a')]: '100x40',
    'chat_gateway_slow_readers{instance="a"}': '10x4 0x36',
  }),

  fires('ChatGatewayFull', '60 MiB', '3m', { chat_gateway_command_queue_bytes: '62914560x20' }),
  quiet('ChatGatewayFull', '1 MiB', '3m', { chat_gateway_command_queue_bytes: '1048576x20' }),

  fires('ChatManyUsersOverLimit', '30 users on two gateways', '6m', {
    'chat_limit_violators{instance="a"}': '15x40',
    'chat_limit_violators{instance="b"}': '15x40',
  }),
  quiet('ChatManyUsersOverLimit', 'three users', '6m', { chat_limit_violators: '3x40' }),
  fires('ChatLimitHammered', '20 a second', '7m', {
    'chat_limit_refusals_total{limit="messages"}': '0+300x40',
  }),
  quiet('ChatLimitHammered', 'one a second', '7m', {
    'chat_limit_refusals_total{limit="messages"}': '0+15x40',
  }),

  fires('ChatDeliveryErrors', 'one in a hundred', '11m', {
    chat_gateway_deliveries_total: '0+990x50',
    chat_gateway_delivery_errors_total: '0+10x50',
  }),
  quiet('ChatDeliveryErrors', 'one in a thousand', '11m', {
    chat_gateway_deliveries_total: '0+999x50',
    chat_gateway_delivery_errors_total: '0+1x50',
  }),
  quiet('ChatDeliveryErrors', 'there is no traffic', '11m', {
    chat_gateway_deliveries_total: '0x50',
    chat_gateway_delivery_errors_total: '0x50',
  }),

  fires('ChatDeliverySlow', 'one in ten takes longer', '11m', buckets(delivery, '0.3', '0.5', 90, 100)),
  quiet('ChatDeliverySlow', 'one in fifty takes longer', '11m', buckets(delivery, '0.3', '0.5', 98, 100)),
  fires('ChatApiSlow', 'one in ten takes more than 0.7 s', '11m', buckets(api, '0.7', '1', 90, 100)),
  quiet('ChatApiSlow', 'one in fifty takes more than 0.7 s', '11m', buckets(api, '0.7', '1', 98, 100)),

  fires('ChatCommandsWithoutOutcome', 'one in twenty', '11m', {
    'chat_gateway_commands_total{result="persisted"}': '0+95x50',
    'chat_gateway_commands_total{result="unknown"}': '0+5x50',
  }),
  quiet('ChatCommandsWithoutOutcome', 'one in a thousand', '11m', {
    'chat_gateway_commands_total{result="persisted"}': '0+999x50',
    'chat_gateway_commands_total{result="unknown"}': '0+1x50',
  }),
];
